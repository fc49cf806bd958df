/* SPDX-License-Identifier: ISC */
/* One mapping: a block of counters for each executor and one for the supervisor itself, then
 * the slots, then the limits, each at the beginning of a cache line. */
#include "crew_memory.h"

#include "acl.h"
#include "conf.h"
#include "crew.h"
#include "quotas.h"
#include "slots.h"

#include <errno.h>
#include <sys/mman.h>

static size_t round_up(size_t size)
{
	return (size + CACHE_LINE - 1) & ~(size_t)(CACHE_LINE - 1);
}

unsigned crew_memory_blocks(const struct crew *c)
{
	if (c->service->model->per_client)
		return 2; /* who accepts; and all clients' executors together */
	return c->service->model->many_threads ? c->service->workers : 1;
}

int crew_memory_map(struct crew *c)
{
	bool stream = protocols[c->service->protocol].stream;
	size_t blocks = (size_t)c->n_members * c->blocks_per_member + 1;
	size_t slots_at = blocks * sizeof(struct stats);
	size_t quotas_at = slots_at + (stream ? round_up(slots_size(c->max_clients)) : 0);

	c->shared_size = quotas_at + quotas_size(c->service, c->max_clients);
	c->shared = mmap(NULL, c->shared_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			 -1, 0);
	if (c->shared == MAP_FAILED) {
		c->shared = NULL;
		return -errno;
	}
	c->stats = c->shared;
	c->quotas = quotas_init((char *)c->shared + quotas_at, c->service, c->max_clients,
				&c->env->key);
	if (stream) {
		c->slots = &c->table;
		slots_init(c->slots, (char *)c->shared + slots_at, c->max_clients, c->bell);
		c->slots->sources = c->quotas->sources;
	}
	if (c->service->model->per_client)
		c->stats[1].shared = true;
	return 0;
}

void crew_memory_unmap(struct crew *c)
{
	if (c->shared)
		munmap(c->shared, c->shared_size);
}

void crew_memory_bar(struct crew *c, const struct acl *access)
{
	struct address peer;
	struct prefix host;

	for (uint32_t i = 0; c->slots && i < c->slots->n; i++) {
		struct slot *slot = &c->slots->slot[i];

		/* The list is of clients; a proxy is none. */
		if (c->slots->owner[i] == 0 || slot->since == 0 || slot->proxy)
			continue;
		slot_peer(slot, &peer);
		if (prefix_of(&peer, &host) && !acl_says(access, &host))
			slot->barred = true;
	}
}
