/* SPDX-License-Identifier: ISC */
/* The walk along a tree with the schema in hand.  Every key is looked up, so that an
 * unknown one cannot pass; every field gets its row's default first, by the same function
 * that sets it, so that a default cannot be what a file could not say. */
#include "conf_build.h"

#include "conf.h"
#include "conf_file.h"
#include "conf_node.h"
#include "conf_override.h"
#include "conf_schema.h"
#include "conf_value.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_TEXT_MAX = 200, SERVICES_MAX = 256 };

/* A group of the tree: its keys have PREFIX in the schema and SHOWN for people; their
 * fields are in BASE. */
struct scope {
	const char *prefix;
	const char *shown;
	void *base;
};

static bool is_service_key(const struct conf_key *key)
{
	return strncmp(key->path, CONF_SERVICE, strlen(CONF_SERVICE)) == 0;
}

static void set_default(struct build *b, const struct conf_key *key, void *base)
{
	struct conf_node *n;

	if (!key->def)
		return;
	n = conf_override_value(key->def);
	if (n)
		conf_value_set(key, n, base, key->path, b->complaints);
	else
		b->complaints->no_memory = true;
	node_free(n);
}

static void set_defaults(struct build *b, void *base, bool service)
{
	for (size_t i = 0; i < n_conf_keys; i++)
		if (is_service_key(&conf_keys[i]) == service)
			set_default(b, &conf_keys[i], base);
}

static void unknown(struct build *b, struct conf_node *n, const struct scope *scope)
{
	char near[80];
	const char *found = conf_key_suggest(scope->prefix, n->name, near, sizeof(near));

	if (found)
		complain(b->complaints, n, "%s%.60s: unknown key (did you mean \"%s\"?)",
			 scope->shown, n->name, found);
	else
		complain(b->complaints, n, "%s%.60s: unknown key", scope->shown, n->name);
}

static void build_sockets(struct build *b, struct conf_node *group, const char *shown,
			  struct service_conf *s)
{
	char prefix[PATH_TEXT_MAX + 2], path[PATH_TEXT_MAX + 80];
	struct scope scope = {.prefix = CONF_SERVICE "socket.", .shown = prefix};

	snprintf(prefix, sizeof(prefix), "%s.", shown);
	if (group->kind != NODE_GROUP) {
		complain(b->complaints, group, "%s: is %s (a group { } of socket options)", shown,
			 node_kind_text(group));
		return;
	}
	for (size_t i = 0; i < group->n; i++) {
		struct conf_node *n = group->child[i];
		int row = sockopt_find(n->name);

		snprintf(path, sizeof(path), "%s%s", prefix, n->name);
		if (row < 0)
			unknown(b, n, &scope);
		else
			conf_value_sockopt(&sockopts[row], n, &s->sockopts.value[row], path,
					   b->complaints);
	}
}

static void build_group(struct build *b, struct conf_node *group, const struct scope *scope);

/* The key N of SCOPE. */
static void build_key(struct build *b, struct conf_node *n, const struct scope *scope)
{
	char path[PATH_TEXT_MAX], shown[PATH_TEXT_MAX], prefix[PATH_TEXT_MAX + 2];
	struct scope below = {.prefix = prefix, .shown = shown, .base = scope->base};
	const struct conf_key *key;

	snprintf(path, sizeof(path), "%s%.100s", scope->prefix, n->name);
	snprintf(shown, sizeof(shown), "%s%.100s", scope->shown, n->name);
	key = conf_key_find(path);
	if (key && key->type == KEY_SOCKET) {
		build_sockets(b, n, shown, scope->base);
	} else if (key) {
		conf_value_set(key, n, scope->base, shown, b->complaints);
	} else if (!conf_key_group(path)) {
		unknown(b, n, scope);
	} else if (n->kind != NODE_GROUP) {
		complain(b->complaints, n, "%s: is %s (a group { })", shown, node_kind_text(n));
	} else {
		snprintf(prefix, sizeof(prefix), "%s.", path);
		strncat(shown, ".", sizeof(shown) - strlen(shown) - 1);
		build_group(b, n, &below);
	}
}

static void build_group(struct build *b, struct conf_node *group, const struct scope *scope)
{
	for (size_t i = 0; i < group->n; i++) {
		bool services = scope->prefix[0] == '\0' &&
				strcmp(group->child[i]->name, "services") == 0;

		if (!services)
			build_key(b, group->child[i], scope);
	}
}

static void build_service(struct build *b, struct conf_node *n, size_t i)
{
	char shown[32];
	struct scope scope = {.prefix = CONF_SERVICE,
			      .shown = shown,
			      .base = &b->conf->services[i]};

	b->service[i] = n;
	set_defaults(b, &b->conf->services[i], true);
	snprintf(shown, sizeof(shown), "services[%zu].", i);
	if (n->kind == NODE_GROUP)
		build_group(b, n, &scope);
	else
		complain(b->complaints, n, "services[%zu]: is %s (a group { })", i,
			 node_kind_text(n));
}

static int build_services(struct build *b)
{
	struct conf_node *list = node_child(b->root, "services");

	if (!list) {
		complain(b->complaints, b->root,
			 "services: missing (a list of at least one service is needed)");
		return 0;
	}
	if (list->kind != NODE_LIST) {
		complain(b->complaints, list, "services: is %s (a list ( ) of groups { })",
			 node_kind_text(list));
		return 0;
	}
	if (list->n == 0 || list->n > SERVICES_MAX) {
		complain(b->complaints, list, "services: %s (1 to %d services are possible)",
			 list->n ? "too many" : "is empty", SERVICES_MAX);
		return 0;
	}
	b->conf->services = calloc(list->n, sizeof(*b->conf->services));
	b->service = calloc(list->n, sizeof(struct conf_node *));
	if (!b->conf->services || !b->service)
		return -ENOMEM;
	b->conf->n_services = list->n;
	for (size_t i = 0; i < list->n; i++)
		build_service(b, list->child[i], i);
	return 0;
}

int conf_build(struct build *b)
{
	struct scope scope = {.prefix = "", .shown = "", .base = b->conf};
	int r;

	set_defaults(b, b->conf, false);
	build_group(b, b->root, &scope);
	r = build_services(b);
	return b->complaints->no_memory ? -ENOMEM : r;
}

struct conf_node *conf_build_node(const struct build *b, size_t i, const char *path)
{
	return node_find(b->service[i], path);
}

struct conf_node *conf_build_element(const struct build *b, size_t i, const char *path, size_t n)
{
	struct conf_node *list = conf_build_node(b, i, path);

	return list && n < list->n ? list->child[n] : list;
}

bool conf_build_bad(const struct build *b, size_t i, const char *path)
{
	struct conf_node *n = conf_build_node(b, i, path);

	return n && n->bad;
}

void conf_build_complain(struct build *b, size_t i, const char *path, const char *fmt, ...)
{
	struct conf_node *n = conf_build_node(b, i, path);
	va_list ap;
	char *text = NULL;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	complain(b->complaints, n ? n : b->service[i], "services[%zu].%s: %s", i, path,
		 text ? text : "out of memory");
	free(text);
}
