/* SPDX-License-Identifier: ISC */
/* conf_value.h - one value: from a node into the field of its row. */
#ifndef ECHOD_CONF_VALUE_H
#define ECHOD_CONF_VALUE_H

#include <stddef.h>

struct complaints;
struct conf_key;
struct conf_node;
struct sockopt_row;
struct sockopt_value;

/* Set KEY's field of BASE (the struct conf or service_conf) to N, or complain: PATH is N's
 * name for people.  What the field held is freed. */
void conf_value_set(const struct conf_key *key, struct conf_node *n, void *base, const char *path,
		    struct complaints *c);

/* Free what KEY's field of BASE owns. */
void conf_value_free(const struct conf_key *key, void *base);

/* Set *VALUE to N, as ROW takes it, or complain. */
void conf_value_sockopt(const struct sockopt_row *row, struct conf_node *n,
			struct sockopt_value *value, const char *path, struct complaints *c);

/* The number in KEY's field of BASE, for the types that are numbers. */
long long conf_value_number(const struct conf_key *key, const void *base);

#endif
