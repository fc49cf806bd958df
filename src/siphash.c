/* SPDX-License-Identifier: ISC */
/* SipHash-2-4 as in the paper "SipHash: a fast short-input PRF": two rounds for each word of
 * eight bytes, little-endian, and four at the end.  No library that echod uses has it. */
#include "siphash.h"

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

struct state {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

static inline void sipround(struct state *s)
{
	s->v0 += s->v1;
	s->v2 += s->v3;
	s->v1 = rotate(s->v1, 13) ^ s->v0;
	s->v3 = rotate(s->v3, 16) ^ s->v2;
	s->v0 = rotate(s->v0, 32) + s->v3;
	s->v2 += s->v1;
	s->v3 = rotate(s->v3, 21) ^ s->v0;
	s->v1 = rotate(s->v1, 17) ^ s->v2;
	s->v2 = rotate(s->v2, 32);
}

static inline void add(struct state *s, uint64_t word)
{
	s->v3 ^= word;
	sipround(s);
	sipround(s);
	s->v0 ^= word;
}

uint64_t siphash(const struct siphash_key *key, const void *data, size_t size)
{
	struct state s = {
		.v0 = key->k0 ^ UINT64_C(0x736f6d6570736575),
		.v1 = key->k1 ^ UINT64_C(0x646f72616e646f6d),
		.v2 = key->k0 ^ UINT64_C(0x6c7967656e657261),
		.v3 = key->k1 ^ UINT64_C(0x7465646279746573),
	};
	const uint8_t *p = data;
	uint64_t word, rest = (uint64_t)size << 56;

	for (size_t n = size / 8; n > 0; n--, p += 8) {
		memcpy(&word, p, sizeof(word));
		add(&s, le64toh(word));
	}
	for (size_t i = 0; i < size % 8; i++)
		rest |= (uint64_t)p[i] << (8 * i);
	add(&s, rest);
	s.v2 ^= 0xff;
	for (int i = 0; i < 4; i++)
		sipround(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

int siphash_random_key(struct siphash_key *key)
{
	ssize_t n;

	do /* up to 256 bytes come at once, getrandom(2) */
		n = getrandom(key, sizeof(*key), 0);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}
