/* SPDX-License-Identifier: ISC */
/* own.h - where this daemon itself receives datagrams: who asks from there is not answered, or
 * two of its services would answer each other for ever. */
#ifndef ECHOD_OWN_H
#define ECHOD_OWN_H

#include "siphash.h"

#include <stdbool.h>
#include <stdint.h>

struct address;

/* A set of ports: of UDP source ports, say. */
struct ports {
	_Atomic uint64_t bits[65536 / 64];
};

static inline bool ports_have(const struct ports *p, uint16_t port)
{
	return p->bits[port / 64] >> (port % 64) & 1;
}

static inline void ports_add(struct ports *p, uint16_t port)
{
	p->bits[port / 64] |= UINT64_C(1) << (port % 64);
}

/* In memory that is shared with the workers: a reload changes it under those that stay. */
struct own {
	_Alignas(64) struct siphash_key key; /* of the names */
	struct ports ports;                  /* of UDP, at whatever address */
	struct ports names;                  /* of UNIX sockets: four parts of the hash of each */
};

/* Nothing is our own; KEY is for the names that will be. */
void own_clear(struct own *o, const struct siphash_key *key);

/* We receive datagrams at A. */
void own_add(struct own *o, const struct address *a);

/* Is A one of those?  For UNIX sockets also once in many millions where it is not. */
bool own_has(const struct own *o, const struct address *a);

#endif
