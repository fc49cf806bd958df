/* SPDX-License-Identifier: ISC */
/* sizes.h - the sizes of messages: one, several in turn, or any of a range. */
#ifndef ECHOC_SIZES_H
#define ECHOC_SIZES_H

#include <stdbool.h>
#include <stdint.h>

enum { SIZES_MAX = 32 };

struct sizes {
	int64_t list[SIZES_MAX]; /* bytes; of a range the ends */
	unsigned n;              /* of list */
	bool range;              /* any of list[0] to list[1], equally often */
};

/* Parse "64", "64-1500" or "64,512,1500"; each may have K or M.  Returns 0, or -EINVAL with
 * *WHY what is allowed. */
int sizes_parse(struct sizes *s, const char *text, const char **why);

/* The size of the NTH message.  *SEED is the state of the range's chance, not 0. */
int64_t sizes_next(const struct sizes *s, uint64_t nth, uint64_t *seed);

int64_t sizes_largest(const struct sizes *s);

#endif
