/* SPDX-License-Identifier: ISC */
/* libconfig makes the tree.  It is given the text of conf_text.c and never a file, so that
 * its version cannot be told from what comes out; the lines are ours too, matched by the
 * order of the settings. */
#include "conf_file.h"

#include "conf_node.h"
#include "conf_text.h"
#include "memory.h"

#include <libconfig.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How far the walk is: the next setting stands at text->place[next]. */
struct walk {
	const struct conf_text *text;
	size_t next;
};

static struct conf_node *node_of(struct walk *w, config_setting_t *setting);

static enum node_kind kind_of(const config_setting_t *setting)
{
	switch (config_setting_type(setting)) {
	case CONFIG_TYPE_BOOL:
		return NODE_BOOL;
	case CONFIG_TYPE_INT:
	case CONFIG_TYPE_INT64:
		return NODE_INT;
	case CONFIG_TYPE_FLOAT:
		return NODE_FLOAT;
	case CONFIG_TYPE_STRING:
		return NODE_STRING;
	case CONFIG_TYPE_ARRAY:
		return NODE_ARRAY;
	case CONFIG_TYPE_LIST:
		return NODE_LIST;
	default:
		return NODE_GROUP;
	}
}

static int copy_children(struct walk *w, config_setting_t *setting, struct conf_node *n)
{
	int count = config_setting_length(setting);

	for (int i = 0; i < count; i++) {
		struct conf_node *child = node_of(w, config_setting_get_elem(setting, (unsigned)i));

		if (!child || node_append(n, child) < 0)
			return -1;
	}
	return 0;
}

static int copy_value(struct walk *w, config_setting_t *setting, struct conf_node *n)
{
	switch (n->kind) {
	case NODE_BOOL:
		n->number = config_setting_get_bool(setting);
		return 0;
	case NODE_INT:
		n->number = config_setting_get_int64(setting);
		return 0;
	case NODE_FLOAT:
		n->real = config_setting_get_float(setting);
		return 0;
	case NODE_STRING:
		n->text = strdup(config_setting_get_string(setting));
		return n->text ? 0 : -1;
	default:
		return copy_children(w, setting, n);
	}
}

/* A copy of SETTING and what is below it, in the order of the text. */
static struct conf_node *node_of(struct walk *w, config_setting_t *setting)
{
	struct conf_node *n = node_new(kind_of(setting), config_setting_name(setting));

	if (!n)
		return NULL;
	if (!config_setting_is_root(setting)) {
		if (w->next == w->text->n_places)
			return node_free(n);
		n->file = w->text->place[w->next].file;
		n->line = w->text->place[w->next].line;
		n->order = (unsigned)++w->next;
	} else {
		n->file = w->text->source[0].name;
	}
	return copy_value(w, setting, n) < 0 ? node_free(n) : n;
}

/* libconfig does not look at what malloc(3) gives it, and a reload must not end the daemon: see
 * first that there is enough for LEN bytes of text.  Of the 32 bytes for each, lists in lists
 * take 20. */
static bool enough_memory(size_t len)
{
	enum { AT_LEAST = 256 << 10, FOR_A_BYTE = 32 };

	return memory_for(AT_LEAST + FOR_A_BYTE * len);
}

struct conf_node *conf_file_tree(const struct conf_text *t, struct complaints *c)
{
	struct walk w = {.text = t};
	struct conf_node *root = NULL;
	const char *why = "libconfig made another tree of it, or there is no memory";
	config_t config;

	if (!enough_memory(t->len)) {
		if (c) {
			c->shortage = true;
			complain_of(c, t->source[0].name, "out of memory");
		}
		return NULL;
	}
	config_init(&config);
	if (config_read_string(&config, t->flat ? t->flat : "") == CONFIG_TRUE)
		root = node_of(&w, config_root_setting(&config));
	else
		why = config_error_text(&config);
	if (root && w.next != t->n_places)
		root = node_free(root);
	if (!root && c)
		complain_of(c, t->source[0].name, "%s", why ? why : "cannot be parsed");
	config_destroy(&config);
	return root;
}
