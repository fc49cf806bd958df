/* SPDX-License-Identifier: ISC */
/* acl.h - a list of networks, each with a yes or a no, of which the most specific counts.
 * Built once; then a question costs a binary search, however long the list is. */
#ifndef ECHOD_ACL_H
#define ECHOD_ACL_H

#include "prefix.h"

#include <stdbool.h>
#include <stddef.h>

struct acl_rule {
	struct prefix prefix;
	bool yes;
};

/* The addresses of one family, cut into ranges. */
struct acl_table {
	struct acl_range *range; /* by their first address; range[0] begins at 0 */
	size_t n;
};

struct acl {
	struct acl_table four, six;
	bool otherwise; /* what holds where no rule does */
};

/* Build A of N rules, which are put in order; OTHERWISE holds where none does.  Of two rules
 * for the same network a no counts.  Returns 0 or -ENOMEM. */
int acl_build(struct acl *a, struct acl_rule *rules, size_t n, bool otherwise);

/* Make TO the same as FROM.  Returns 0 or -ENOMEM. */
int acl_copy(struct acl *to, const struct acl *from);

/* Free what A holds; a zeroed one is fine. */
void acl_clear(struct acl *a);

/* The answer for the host P. */
bool acl_says(const struct acl *a, const struct prefix *host);

#endif
