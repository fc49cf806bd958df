/* SPDX-License-Identifier: ISC */
/* size.h - sizes and times as people write them: "64K", "300.5". */
#ifndef ECHOD_SIZE_H
#define ECHOD_SIZE_H

#include <stddef.h>
#include <stdint.h>

/* Room for any text of the formatters. */
enum { SIZE_TEXT_MAX = 32 };

/* Parse digits with an optional K, M, G or T (powers of 1024, either case) into *OUT.
 * Returns 0, -EINVAL if it is none, -ERANGE if it passes INT64_MAX. */
int size_parse(const char *text, int64_t *out);

/* The shortest text of N that size_parse() takes: "256K", "1000".  Returns BUF. */
const char *size_format(int64_t n, char buf[SIZE_TEXT_MAX]);

/* Parse decimal seconds such as "2", "0.25" into units of 1/PER_SECOND, which is at most
 * 1000000.  Returns 0; -EINVAL if it is no number; -ERANGE if it is negative, too large
 * (2^40 s), or not 0 and yet below half a unit. */
int seconds_parse(const char *text, unsigned per_second, int64_t *out);

/* The same for a number. */
int seconds_round(double seconds, unsigned per_second, int64_t *out);

/* N units of 1/PER_SECOND as decimal seconds with at least one digit after the point:
 * "300.0".  Returns BUF. */
const char *seconds_format(int64_t n, unsigned per_second, char buf[SIZE_TEXT_MAX]);

/* N, not negative, in at most four characters: "0", "7.5", "999", "41k", "1.2M", by powers of
 * 1000.  Returns BUF. */
const char *size_short(double n, char buf[SIZE_TEXT_MAX]);

#endif
