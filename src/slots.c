/* SPDX-License-Identifier: ISC */
/* The slot table.  The owner array alone decides: 0 to PID by compare-and-swap is a claim,
 * so a process that dies at any instant leaves either a free slot or one with its name on.
 * Looking for a free slot begins where the last was found or freed: next door, mostly. */
#include "slots.h"

#include "sources.h"
#include "stats.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static size_t whole_lines(size_t size)
{
	return (size + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1);
}

/* Where the slots themselves begin behind N owners. */
static size_t slots_offset(uint32_t n)
{
	return whole_lines(offsetof(struct slots_shared, owner) + n * sizeof(pid_t));
}

size_t slots_size(uint32_t n)
{
	return whole_lines(slots_offset(n) + n * sizeof(struct slot));
}

void slots_init(struct slots *s, void *at, uint32_t n, int bell)
{
	*s = (struct slots){.n = n, .bell = bell, .shared = at};
	s->owner = s->shared->owner;
	s->slot = (struct slot *)((char *)at + slots_offset(n));
}

int64_t slots_claim(struct slots *s, pid_t owner, uint32_t *hint)
{
	uint32_t i = *hint < s->n ? *hint : 0;

	for (uint32_t looked = 0; looked < s->n; looked++) {
		pid_t nobody = 0;

		/* Not before what slots_claim_or_wait() has said: in the one order of all. */
		if (atomic_load(&s->owner[i]) == 0 &&
		    atomic_compare_exchange_strong(&s->owner[i], &nobody, owner)) {
			*hint = i + 1;
			return i;
		}
		if (++i == s->n)
			i = 0;
	}
	return -ENOSPC;
}

int64_t slots_claim_or_wait(struct slots *s, pid_t owner, uint32_t *hint)
{
	int64_t i = slots_claim(s, owner, hint);

	if (i >= 0)
		return i;
	/* Say that we wait, then look again: a slot freed in between rang for nobody. */
	atomic_store(&s->shared->waiting, 1);
	return slots_claim(s, owner, hint);
}

bool slots_give(struct slots *s, uint32_t i, pid_t from, pid_t to)
{
	return atomic_compare_exchange_strong(&s->owner[i], &from, to) || from == to;
}

void slots_ring(const struct slots *s)
{
	uint64_t one = 1;

	if (write(s->bell, &one, sizeof(one)) < 0)
		return; /* EAGAIN: it rings already */
}

static void ring_if_awaited(struct slots *s)
{
	if (atomic_load(&s->shared->waiting) && atomic_exchange(&s->shared->waiting, 0))
		slots_ring(s);
}

/* The owner comes last: until it is 0 whoever dies leaves a slot that is found. */
static void free_slot(struct slots *s, uint32_t i)
{
	if (s->sources)
		sources_leave(s->sources, s->n, &s->slot[i].source);
	s->slot[i].since = 0;
	atomic_store(&s->owner[i], 0);
}

void slots_release(struct slots *s, uint32_t i)
{
	free_slot(s, i);
	ring_if_awaited(s);
}

/* A child of the dead may take a slot over at this very moment: what is freed is taken from him
 * before. */
unsigned slots_free_owner(struct slots *s, pid_t owner)
{
	unsigned freed = 0, connections = 0;
	pid_t me = getpid();

	for (uint32_t i = 0; i < s->n; i++) {
		if (atomic_load_explicit(&s->owner[i], memory_order_relaxed) != owner ||
		    !slots_give(s, i, owner, me))
			continue;
		freed++;
		connections += s->slot[i].since != 0;
		free_slot(s, i);
	}
	if (freed > 0)
		ring_if_awaited(s);
	return connections;
}

unsigned slots_used(const struct slots *s)
{
	unsigned used = 0;

	for (uint32_t i = 0; i < s->n; i++)
		used += atomic_load_explicit(&s->owner[i], memory_order_relaxed) != 0;
	return used;
}

uint32_t slots_patience(const struct slots *s, uint32_t timeout)
{
	enum { BEGIN = 65, FULL = 100 }; /* percent */
	uint64_t crowd = (uint64_t)atomic_load_explicit(&s->shared->crowd, memory_order_relaxed) *
			 FULL;
	uint64_t begin = (uint64_t)s->n * BEGIN, full = (uint64_t)s->n * FULL;
	uint64_t over, least = timeout < SLOTS_PATIENCE_MIN ? timeout : SLOTS_PATIENCE_MIN;
	uint64_t patience = timeout;

	if (crowd <= begin)
		return timeout;
	over = crowd < full ? crowd - begin : full - begin;
	patience -= patience * 9 * over / ((full - begin) * 10);
	return (uint32_t)(patience > least ? patience : least);
}

void slot_open(struct slot *slot, const struct address *peer, uint64_t now)
{
	slot->since = now;
	slot->barred = false;
	slot->bytes_in = slot->bytes_out = 0;
	slot_set_peer(slot, peer);
}

void slot_set_peer(struct slot *slot, const struct address *peer)
{
	slot->scope = 0;
	slot->family = peer->len ? peer->sa.sa_family : AF_UNSPEC;
	if (slot->family == AF_INET) {
		memcpy(slot->host, &peer->in.sin_addr, 4);
		slot->port = ntohs(peer->in.sin_port);
	} else if (slot->family == AF_INET6) {
		memcpy(slot->host, &peer->in6.sin6_addr, 16);
		slot->port = ntohs(peer->in6.sin6_port);
		slot->scope = peer->in6.sin6_scope_id;
	}
}

void slot_peer(const struct slot *slot, struct address *peer)
{
	*peer = (struct address){.len = sizeof(sa_family_t)};
	peer->sa.sa_family = slot->family;
	if (slot->family == AF_INET) {
		peer->len = sizeof(peer->in);
		memcpy(&peer->in.sin_addr, slot->host, 4);
		peer->in.sin_port = htons(slot->port);
	} else if (slot->family == AF_INET6) {
		peer->len = sizeof(peer->in6);
		memcpy(&peer->in6.sin6_addr, slot->host, 16);
		peer->in6.sin6_port = htons(slot->port);
		peer->in6.sin6_scope_id = slot->scope;
	}
}
