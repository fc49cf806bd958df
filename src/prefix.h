/* SPDX-License-Identifier: ISC */
/* prefix.h - networks: an address and how many of its bits count.  IPv4 within IPv6,
 * ::ffff:192.0.2.1, is IPv4 everywhere. */
#ifndef ECHOD_PREFIX_H
#define ECHOD_PREFIX_H

#include "address.h"

#include <stdbool.h>
#include <stdint.h>

struct prefix {
	uint64_t hi, lo; /* the address as a number; of IPv4 the low 32 bits; 0 behind the prefix */
	uint8_t width;   /* bits of an address: 32 or 128 */
	uint8_t bits;    /* of them that count: 0 to width */
};

/* Room for the text of any prefix, and for what is wrong with a text. */
enum { PREFIX_TEXT_MAX = 64, PREFIX_WHY_MAX = 160 };

/* Parse "192.0.2.0/24", "2001:db8::/32", or one address.  Returns 0, or -EINVAL with a phrase
 * for the user in WHY. */
int prefix_parse(const char *text, struct prefix *out, char why[PREFIX_WHY_MAX]);

/* The text of P, in the form that the parser takes, into BUF.  Returns BUF. */
const char *prefix_format(const struct prefix *p, char buf[PREFIX_TEXT_MAX]);

/* The host A as a prefix with all its bits.  Returns false if A is no IP address. */
bool prefix_of(const struct address *a, struct prefix *out);

/* P with no more than BITS bits. */
struct prefix prefix_cut(struct prefix p, unsigned bits);

/* Is all of P within NET? */
bool prefix_has(const struct prefix *net, const struct prefix *p);

/* Does A stand before B?  Networks stand before what is within them. */
int prefix_compare(const struct prefix *a, const struct prefix *b);

#endif
