/* SPDX-License-Identifier: ISC */
/* The tree of settings, and the complaints about it.  Rules run in their own order; what
 * people read is in the order of the file, so complaints are sorted when they are done. */
#include "conf_node.h"

#include "conf.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A file of nothing but mistakes shall not fill the journal. */
enum { COMPLAINTS_MAX = 100 };

struct complaint {
	unsigned order; /* of the node */
	size_t serial;  /* among those of one node, the order in which they came */
	char *line;
};

struct conf_node *node_new(enum node_kind kind, const char *name)
{
	struct conf_node *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->kind = kind;
	if (name) {
		n->name = strdup(name);
		if (!n->name)
			return node_free(n);
	}
	return n;
}

struct conf_node *node_free(struct conf_node *n)
{
	if (!n)
		return NULL;
	for (size_t i = 0; i < n->n; i++)
		node_free(n->child[i]); /* as deep as the text check lets nesting be */
	free(n->child);
	free(n->name);
	free(n->text);
	free(n);
	return NULL;
}

int node_append(struct conf_node *parent, struct conf_node *child)
{
	/* Room grows in powers of two: it is full exactly when n is one (or 0). */
	if ((parent->n & (parent->n - 1)) == 0) {
		size_t room = parent->n ? 2 * parent->n : 1;
		void *grown = reallocarray(parent->child, room, sizeof(struct conf_node *));

		if (!grown) {
			node_free(child);
			return -ENOMEM;
		}
		parent->child = grown;
	}
	parent->child[parent->n++] = child;
	return 0;
}

struct conf_node *node_child(const struct conf_node *group, const char *name)
{
	if (!group || group->kind != NODE_GROUP)
		return NULL;
	for (size_t i = 0; i < group->n; i++)
		if (strcmp(group->child[i]->name, name) == 0)
			return group->child[i];
	return NULL;
}

struct conf_node *node_find(struct conf_node *group, const char *path)
{
	char name[64];

	while (group && *path) {
		size_t len = strcspn(path, ".");

		snprintf(name, sizeof(name), "%.*s", (int)len, path);
		group = node_child(group, name);
		path += len + (path[len] == '.');
	}
	return group;
}

const char *node_kind_text(const struct conf_node *n)
{
	static const char *const text[] = {
		[NODE_BOOL] = "a boolean",  [NODE_INT] = "an integer", [NODE_FLOAT] = "a fraction",
		[NODE_STRING] = "a string", [NODE_ARRAY] = "an array", [NODE_LIST] = "a list",
		[NODE_GROUP] = "a group",
	};

	return text[n->kind];
}

const char *node_describe(const struct conf_node *n, char *buf, size_t size)
{
	switch (n->kind) {
	case NODE_BOOL:
		snprintf(buf, size, "%s", n->number ? "true" : "false");
		break;
	case NODE_INT:
		snprintf(buf, size, "%" PRId64, n->number);
		break;
	case NODE_FLOAT:
		snprintf(buf, size, "%.10g", n->real);
		if (!strpbrk(buf, ".en"))
			strncat(buf, ".0", size - strlen(buf) - 1);
		break;
	case NODE_STRING:
		if (strlen(n->text) > 60)
			snprintf(buf, size, "\"%.57s...\"", n->text);
		else
			snprintf(buf, size, "\"%s\"", n->text);
		break;
	default:
		snprintf(buf, size, "%s", node_kind_text(n));
	}
	return buf;
}

/* Bytes of the printable character at P, which is ASCII or UTF-8; 0 if there is none. */
static size_t printable(const char *p)
{
	unsigned char c = (unsigned char)*p;
	size_t more = c >= 0xf0 ? 3 : c >= 0xe0 ? 2 : 1;

	if (c < 0x80)
		return c >= ' ' && c != 0x7f;
	/* 0xc2 0x80 to 0x9f are control characters too. */
	if (c < 0xc2 || c > 0xf4 || (c == 0xc2 && (unsigned char)p[1] < 0xa0))
		return 0;
	for (size_t i = 1; i <= more; i++)
		if (((unsigned char)p[i] & 0xc0) != 0x80)
			return 0;
	return more + 1;
}

/* Take LINE over.  Escape sequences of a hostile file shall not reach a terminal. */
static void add(struct complaints *c, unsigned order, char *line)
{
	struct complaint *grown;

	if (!line || c->n == COMPLAINTS_MAX) {
		c->no_memory |= !line;
		c->too_many |= line != NULL;
		free(line);
		return;
	}
	grown = reallocarray(c->entry, c->n + 1, sizeof(*grown));
	if (!grown) {
		c->no_memory = true;
		free(line);
		return;
	}
	for (char *p = line; *p;) {
		size_t len = printable(p);

		if (len == 0)
			*p = '?';
		p += len ? len : 1;
	}
	c->entry = grown;
	grown[c->n] = (struct complaint){.order = order, .serial = c->n, .line = line};
	c->n++;
}

/* ORIGIN may be NULL; LINE 0 is left out; TEXT is freed. */
static char *with_origin(const char *origin, unsigned line, char *text)
{
	char *full = NULL;
	int r = -1;

	if (text && line)
		r = asprintf(&full, "%s:%u: %s", origin, line, text);
	else if (text)
		r = asprintf(&full, "%s%s%s", origin ? origin : "", origin ? ": " : "", text);
	free(text);
	return r < 0 ? NULL : full;
}

void complain(struct complaints *c, struct conf_node *n, const char *fmt, ...)
{
	va_list ap;
	char *text = NULL;

	n->bad = true;
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	add(c, n->order, with_origin(n->file, n->line, text));
}

void complain_of(struct complaints *c, const char *origin, const char *fmt, ...)
{
	va_list ap;
	char *text = NULL;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	add(c, UINT_MAX, with_origin(origin, 0, text));
}

static int compare(const void *a, const void *b)
{
	const struct complaint *x = a, *y = b;

	if (x->order != y->order)
		return x->order < y->order ? -1 : 1;
	return x->serial < y->serial ? -1 : x->serial > y->serial;
}

static void report(struct problems *out, char *line)
{
	if (out->line && line)
		out->line[out->n++] = line;
	else
		free(line);
}

bool complaints_report(struct complaints *c, struct problems *out)
{
	bool any = c->n > 0 || c->no_memory;

	*out = (struct problems){.shortage = c->shortage || c->no_memory};
	if (c->n > 1)
		qsort(c->entry, c->n, sizeof(*c->entry), compare);
	if (any)
		out->line = calloc(c->n + 2, sizeof(*out->line));
	for (size_t i = 0; i < c->n; i++)
		report(out, c->entry[i].line);
	if (c->too_many)
		report(out, strdup("more than 100 mistakes: the rest is not shown"));
	if (c->no_memory)
		report(out, strdup("out of memory"));
	free(c->entry);
	*c = (struct complaints){0};
	return any;
}
