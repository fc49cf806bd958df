/* SPDX-License-Identifier: ISC */
/* raw.h - every latency as it was measured, in the order in which it was added: 8 bytes each, in
 * pieces of 1 MiB so that nothing is ever moved.  NULL is a recorder of nothing. */
#ifndef ECHOC_RAW_H
#define ECHOC_RAW_H

#include <stdint.h>
#include <stdio.h>

struct raw;

/* An empty one, or NULL. */
struct raw *raw_new(void);
void raw_free(struct raw *r);

/* Add a value in ns.  One for which there is no memory is counted as missing. */
void raw_add(struct raw *r, uint64_t ns);

/* Put all of FROM, which is empty then, behind what is in R. */
void raw_join(struct raw *r, struct raw *from);

/* Values that are missing for lack of memory. */
uint64_t raw_missing(const struct raw *r);

/* Write one value a line, in microseconds with three decimals.  Errors are the stream's. */
void raw_write(const struct raw *r, FILE *out);

#endif
