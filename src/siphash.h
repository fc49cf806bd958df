/* SPDX-License-Identifier: ISC */
/* siphash.h - SipHash-2-4 (Aumasson and Bernstein, 2012): a hash with a secret key, so that
 * who does not know the key cannot choose what falls together in our tables. */
#ifndef ECHOD_SIPHASH_H
#define ECHOD_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct siphash_key {
	uint64_t k0, k1;
};

/* A key that nobody knows, from the kernel.  Returns 0 or -errno. */
int siphash_random_key(struct siphash_key *key);

/* The hash of SIZE bytes at DATA. */
uint64_t siphash(const struct siphash_key *key, const void *data, size_t size);

#endif
