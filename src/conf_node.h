/* SPDX-License-Identifier: ISC */
/* conf_node.h - a configuration as a tree, before it means anything: what was written,
 * and where.  Also the complaints about it, which are reported in the order of the text. */
#ifndef ECHOD_CONF_NODE_H
#define ECHOD_CONF_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct problems;

enum node_kind { NODE_BOOL, NODE_INT, NODE_FLOAT, NODE_STRING, NODE_ARRAY, NODE_LIST, NODE_GROUP };

struct conf_node {
	enum node_kind kind;
	char *name;       /* of a setting in a group; NULL for elements and the root */
	const char *file; /* as people are shown it; not owned */
	unsigned line;    /* 0: there are no lines (command line) */
	unsigned order;   /* position in the whole text */
	bool bad;         /* complained about: rules that rest on it are skipped */
	int64_t number;   /* of NODE_BOOL and NODE_INT */
	double real;      /* of NODE_FLOAT */
	char *text;       /* of NODE_STRING, owned */
	struct conf_node **child;
	size_t n; /* children */
};

/* A node of KIND; NAME is copied and may be NULL.  NULL when out of memory. */
struct conf_node *node_new(enum node_kind kind, const char *name);

/* Free N and what is below it.  Returns NULL. */
struct conf_node *node_free(struct conf_node *n);

/* Append CHILD, which then belongs to PARENT.  Returns 0, or -ENOMEM with CHILD freed. */
int node_append(struct conf_node *parent, struct conf_node *child);

/* The child of GROUP called NAME, or NULL; GROUP may be NULL. */
struct conf_node *node_child(const struct conf_node *group, const char *name);

/* What PATH ("udp.groups") leads to from GROUP, or NULL. */
struct conf_node *node_find(struct conf_node *group, const char *path);

/* What N is, for people: "an integer", "a group". */
const char *node_kind_text(const struct conf_node *n);

/* The value of N for people: 5, "text", a list.  Returns BUF. */
const char *node_describe(const struct conf_node *n, char *buf, size_t size);

/* The lines that were collected so far; starts as {0}. */
struct complaints {
	struct complaint *entry;
	size_t n;
	bool no_memory; /* something could not be made */
	bool shortage;  /* a file could not be read, which is not the file's fault */
	bool too_many;  /* more were dropped */
};

/* Complain about N, marking it bad: "FILE:LINE: " and the text. */
__attribute__((format(printf, 3, 4))) void complain(struct complaints *c, struct conf_node *n,
						    const char *fmt, ...);

/* Complain without a node: about ORIGIN ("FILE:LINE", or NULL), after all others. */
__attribute__((format(printf, 3, 4))) void complain_of(struct complaints *c, const char *origin,
						       const char *fmt, ...);

/* Sort the lines into OUT, and empty C.  Was there anything to complain about? */
bool complaints_report(struct complaints *c, struct problems *out);

#endif
