/* SPDX-License-Identifier: ISC */
/* What settings need of who starts echod.  It is no mistake to ask for it, but it is better
 * known before the start: a note for --check.  Only where nobody can ever have it, because
 * the workers set it and they have no capability, it is a mistake. */
#include "conf_build.h"

#include "conf.h"
#include "conf_node.h"
#include "conf_schema.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { PATH_TEXT_MAX = 100 };

/* A configuration that is right, and what is said of it. */
struct needing {
	struct build *b;
	struct complaints *notes; /* or NULL */
};

static void note(struct needing *g, struct conf_node *n, const char *path, const char *value,
		 enum need need)
{
	char text[NEED_TEXT_MAX];

	if (g->notes && need != NEEDS_NOTHING)
		complain(g->notes, n, "%s: %s%s%s", path, value, value[0] ? " " : "",
			 need_format(need, text));
}

/* Is PATH a file elsewhere than in the directory that the unit gives to the daemon? */
static bool elsewhere(const char *path)
{
	static const char *const own[] = {"/run/echod/", "/run/echod-"};

	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (strncmp(path, own[i], strlen(own[i])) == 0)
			return false;
	return path[0] == '/';
}

static void note_texts(struct needing *g, struct conf_node *n, const char *path,
		       const struct conf_key *key)
{
	char element[PATH_TEXT_MAX + 16];

	for (size_t i = 0; i < n->n; i++) {
		snprintf(element, sizeof(element), "%s[%zu]", path, i);
		if (elsewhere(n->child[i]->text))
			note(g, n->child[i], element, n->child[i]->text, key->needs);
	}
	if (n->kind == NODE_STRING && elsewhere(n->text))
		note(g, n, path, n->text, key->needs);
}

/* The key N, which people know as PATH. */
static void note_key(struct needing *g, struct conf_node *n, const char *path,
		     const struct conf_key *key)
{
	if (key->needs == NEEDS_WRITABLE_PATH)
		note_texts(g, n, path, key);
	else if (n->kind == NODE_STRING ? n->text[0] != '\0' : n->number != 0 || n->n > 0)
		note(g, n, path, "", key->needs);
}

static void note_option(struct needing *g, size_t i, const struct sockopt_row *row,
			const struct sockopt_value *value)
{
	const struct service_conf *s = &g->b->conf->services[i];
	enum need need = sockopt_need(row, value);
	char path[PATH_TEXT_MAX], shown[PATH_TEXT_MAX + 32];
	struct conf_node *n;

	snprintf(path, sizeof(path), "socket.%s", row->name);
	n = conf_build_node(g->b, i, path);
	if (!n || n->bad)
		return;
	if (need != NEEDS_NOTHING && sockopt_stage(row, s->protocol) == AT_CONNECTION) {
		conf_build_complain(g->b, i, path,
				    "above %" PRId64 " %s, and this is set on each connection, "
				    "by a worker, which has none (at most %" PRId64 ")",
				    row->needs_above, needs[need].what, row->needs_above);
		return;
	}
	snprintf(shown, sizeof(shown), "services[%zu].%s", i, path);
	note(g, n, shown, "", need);
}

static void note_service(struct needing *g, size_t i)
{
	const struct service_conf *s = &g->b->conf->services[i];
	char shown[PATH_TEXT_MAX];

	for (size_t k = 0; k < n_conf_keys; k++) {
		const struct conf_key *key = &conf_keys[k];
		const char *path = key->path + strlen(CONF_SERVICE);
		struct conf_node *n;

		if (key->needs == NEEDS_NOTHING ||
		    strncmp(key->path, CONF_SERVICE, strlen(CONF_SERVICE)) != 0)
			continue;
		n = conf_build_node(g->b, i, path);
		snprintf(shown, sizeof(shown), "services[%zu].%s", i, path);
		if (n && !n->bad)
			note_key(g, n, shown, key);
	}
	for (size_t k = 0; k < n_sockopts; k++)
		if (sockopts[k].protocols & (1u << s->protocol))
			note_option(g, i, &sockopts[k], &s->sockopts.value[k]);
}

void conf_needs(struct build *b, struct complaints *notes)
{
	struct needing g = {.b = b, .notes = notes};

	for (size_t k = 0; k < n_conf_keys; k++) {
		const struct conf_key *key = &conf_keys[k];
		struct conf_node *n = node_find(b->root, key->path);

		if (n && !n->bad && key->needs != NEEDS_NOTHING)
			note_key(&g, n, key->path, key);
	}
	for (size_t i = 0; i < b->conf->n_services; i++)
		if (b->service[i]->kind == NODE_GROUP && !conf_build_bad(b, i, "protocol"))
			note_service(&g, i);
}
