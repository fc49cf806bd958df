/* SPDX-License-Identifier: ISC */
/* quotas.h - what the limits of one service are held with, in memory that its processes share.
 * A limit holds for a source: a prefix of an address, without the port. */
#ifndef ECHOD_QUOTAS_H
#define ECHOD_QUOTAS_H

#include "prefix.h"
#include "siphash.h"

#include <stddef.h>
#include <stdint.h>

struct breaker;
struct limiter;
struct service_conf;
struct source_prefix;
struct sources;

struct quotas {
	struct siphash_key key;
	struct sources *sources;     /* connections of each; NULL: max_clients_per_source is 0 */
	struct limiter *connections; /* NULL: connection_rate is 0 */
	struct limiter *datagrams;   /* NULL: udp.rate is 0, and then there is no other of these: */
	struct limiter *ports;       /* what a port of a source may have above its rate */
	struct breaker *breaker;
};

/* Bytes of shared memory for the limits of a service with MAX_CLIENTS, a multiple of 64. */
size_t quotas_size(const struct service_conf *conf, uint32_t max_clients);

/* Make them in zeroed memory AT, at a multiple of 64 bytes. */
struct quotas *quotas_init(void *at, const struct service_conf *conf, uint32_t max_clients,
			   const struct siphash_key *key);

/* What is a source for handshakes.h, whatever a service says. */
#define HANDSHAKES_SOURCE ((struct source_prefix){.ipv4 = 32, .ipv6 = 64})

/* The source of HOST, where sources are WHAT. */
struct prefix quotas_source(const struct source_prefix *what, const struct prefix *host);

/* What a source is called in the tables. */
uint64_t quotas_hash(const struct siphash_key *key, const struct prefix *source);

#endif
