/* SPDX-License-Identifier: ISC */
/* -o PATH=VALUE: the tree is changed before it means anything, so that an override is
 * checked by the same rules as a file. */
#include "conf_override.h"

#include "conf_file.h"
#include "conf_node.h"
#include "conf_text.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char origin[] = "-o";

static void set_origin(struct conf_node *n)
{
	n->file = origin;
	n->line = 0;
	n->order = UINT_MAX - 1; /* after all of the file */
	for (size_t i = 0; i < n->n; i++)
		set_origin(n->child[i]);
}

/* The value of the one setting of TEXT into *OUT.  Returns 0, -EINVAL if TEXT is not one
 * setting, or -ENOMEM. */
static int parse(const char *text, struct conf_node **out)
{
	struct conf_text t;
	struct conf_node *root = NULL;
	int r = conf_text_string(&t, origin, text, NULL);

	if (r == 0) {
		root = conf_file_tree(&t, NULL);
		r = !root ? -ENOMEM : root->n == 1 ? 0 : -EINVAL;
	}
	if (r == 0) {
		*out = root->child[0];
		root->n = 0; /* taken out */
		free((*out)->name);
		(*out)->name = NULL;
	}
	node_free(root);
	conf_text_clear(&t);
	return r;
}

static struct conf_node *string_node(const char *text)
{
	struct conf_node *n = node_new(NODE_STRING, NULL);

	if (n)
		n->text = strdup(text);
	return n && !n->text ? node_free(n) : n;
}

struct conf_node *conf_override_value(const char *text)
{
	struct conf_node *n = NULL;
	char *setting;
	int r;

	if (asprintf(&setting, "value = %s\n", text) < 0)
		return NULL;
	r = parse(setting, &n);
	free(setting);
	if (r == -EINVAL)
		n = string_node(text);
	if (n)
		set_origin(n);
	return n;
}

/* One step of a path: a name, then perhaps an index. */
struct step {
	char name[64]; /* "" if the step is an index */
	size_t index;
	const char *end; /* where the next step begins */
};

/* Parse the step at P.  False if there is none that is well written. */
static bool parse_step(const char *p, bool first, struct step *out)
{
	size_t len;
	char *end;

	*out = (struct step){.name = ""};
	if (*p == '[') {
		if (!isdigit((unsigned char)p[1]))
			return false;
		out->index = strtoul(p + 1, &end, 10);
		out->end = end + 1;
		return *end == ']' && !first;
	}
	if (!first && *p++ != '.')
		return false;
	for (len = 0; isalnum((unsigned char)p[len]) || p[len] == '_' || p[len] == '-'; len++)
		;
	if (len == 0 || len >= sizeof(out->name))
		return false;
	memcpy(out->name, p, len);
	out->end = p + len;
	return true;
}

/* The place in PARENT that STEP leads to; a setting that is absent is made, a group if
 * more steps follow.  NULL with a complaint, WALKED being the path so far. */
static struct conf_node **follow(struct conf_node *parent, const struct step *step,
				 const char *walked, struct complaints *c)
{
	struct conf_node *made;

	if (step->name[0] == '\0') {
		if (parent->kind != NODE_LIST && parent->kind != NODE_ARRAY)
			complain_of(c, origin, "%s: is not a list", walked);
		else if (step->index >= parent->n)
			complain_of(c, origin, "%s: has no element %zu (it has %zu)", walked,
				    step->index, parent->n);
		else
			return &parent->child[step->index];
		return NULL;
	}
	if (parent->kind != NODE_GROUP) {
		complain_of(c, origin, "%s: is not a group", walked);
		return NULL;
	}
	for (size_t i = 0; i < parent->n; i++)
		if (strcmp(parent->child[i]->name, step->name) == 0)
			return &parent->child[i];
	made = node_new(NODE_GROUP, step->name);
	if (!made || node_append(parent, made) < 0) {
		c->no_memory = true;
		return NULL;
	}
	set_origin(made);
	return &parent->child[parent->n - 1];
}

static bool is_path(const char *path)
{
	struct step step = {.end = path};

	do {
		if (!parse_step(step.end, step.end == path, &step))
			return false;
	} while (*step.end);
	return true;
}

/* The place that PATH names in ROOT, or NULL with a complaint. */
static struct conf_node **find(struct conf_node *root, const char *path, struct complaints *c)
{
	struct conf_node **at = NULL;
	const char *p = path;
	char walked[128];
	struct step step;

	if (!is_path(path)) {
		complain_of(c, origin, "\"%.100s\" is not a path such as services[0].backlog",
			    path);
		return NULL;
	}
	while (parse_step(p, p == path, &step)) {
		snprintf(walked, sizeof(walked), "%.*s", (int)(p - path), path);
		at = follow(at ? *at : root, &step, walked, c);
		if (!at)
			break;
		p = step.end;
	}
	return at;
}

void conf_override(struct conf_node *root, const char *text, struct complaints *c)
{
	const char *equals = strchr(text, '=');
	char *path = equals ? strndup(text, (size_t)(equals - text)) : NULL;
	struct conf_node **at, *value;

	if (!path) {
		complain_of(c, origin, "\"%.100s\" is not PATH=VALUE", text);
		return;
	}
	at = find(root, path, c);
	free(path);
	if (!at)
		return;
	value = conf_override_value(equals + 1);
	if (!value) {
		c->no_memory = true;
		return;
	}
	value->name = (*at)->name;
	(*at)->name = NULL;
	node_free(*at);
	*at = value;
}
