/* SPDX-License-Identifier: ISC */
/* conf_build.h - a tree into a struct conf: defaults, types, ranges, then the rules. */
#ifndef ECHOD_CONF_BUILD_H
#define ECHOD_CONF_BUILD_H

#include <stdbool.h>
#include <stddef.h>

struct complaints;
struct conf;
struct conf_node;

/* A configuration while it is made. */
struct build {
	struct conf *conf;
	struct conf_node *root;
	struct conf_node **service; /* the group of each service */
	struct complaints *complaints;
};

/* Fill B->conf from B->root, complaining about every key that is unknown or wrong.
 * Returns 0 or -ENOMEM. */
int conf_build(struct build *b);

/* conf_check.c: the rules between keys. */
void conf_check(struct build *b);

/* conf_access.c: the networks of service I. */
void conf_access(struct build *b, size_t i);

/* conf_check_answer.c: the rules of service I about its answers. */
void conf_check_answer(struct build *b, size_t i);

/* conf_check_steering.c: whether service I can be steered. */
void conf_check_steering(struct build *b, size_t i);

/* conf_needs.c: what can never work is complained about; what not every process may do goes
 * to NOTES, unless that is NULL. */
void conf_needs(struct build *b, struct complaints *notes);

/* The node of service I's key PATH ("udp.groups"), or NULL where it is not written. */
struct conf_node *conf_build_node(const struct build *b, size_t i, const char *path);

/* The node of the Nth element of the list PATH; that of PATH itself where that is one string. */
struct conf_node *conf_build_element(const struct build *b, size_t i, const char *path, size_t n);

/* Was service I's key PATH complained about? */
bool conf_build_bad(const struct build *b, size_t i, const char *path);

/* Complain about service I's key PATH: where it is written, else where its service is. */
__attribute__((format(printf, 4, 5))) void conf_build_complain(struct build *b, size_t i,
							       const char *path, const char *fmt,
							       ...);

#endif
