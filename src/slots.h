/* SPDX-License-Identifier: ISC */
/* slots.h - who is connected: a table of max_clients slots in memory that the processes of
 * a service share.  Having a slot is having the right to a connection, so the table is the
 * connection limit of every model; a slot names the process that owns it, so what a dead
 * process held is found and freed by looking, never by counting events. */
#ifndef ECHOD_SLOTS_H
#define ECHOD_SLOTS_H

#include "address.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* One connection, as others may look at it. */
struct slot {
	uint8_t host[16];          /* peer: IPv4 in the first four bytes */
	uint32_t scope;            /* IPv6 scope */
	uint16_t port, family;     /* host byte order; AF_* */
	_Atomic uint32_t source;   /* where it is counted (sources.h); 0 = nowhere */
	_Atomic bool barred;       /* no longer allowed: it is to be closed */
	_Atomic bool proxy;        /* peer is a proxy, who has no client yet or none at all */
	uint64_t since;            /* timer_now() of its accept; 0 = none was taken yet */
	_Atomic uint64_t bytes_in; /* written by its executor alone */
	_Atomic uint64_t bytes_out;
};

struct sources;

/* What all processes can read and write. */
struct slots_shared {
	_Atomic uint32_t waiting; /* an executor found no slot free */
	_Atomic uint32_t crowd;   /* connections at the supervisor's latest look, 1 s ago at most */
	/* [n]; 0 = free.  They change with every client, what is before them is read at every
	 * echo: another cache line. */
	_Alignas(64) _Atomic pid_t owner[];
};

/* The table, for one process: where it is and how large is nothing that another may change, for
 * whoever has broken into a worker can write what is shared. */
struct slots {
	uint32_t n;              /* how many */
	int bell;                /* eventfd to ring when a slot is freed and one waits */
	struct sources *sources; /* connections of each source; NULL: they are not counted */
	struct slots_shared *shared;
	_Atomic pid_t *owner; /* [n], shared */
	struct slot *slot;    /* [n], shared */
};

/* Bytes of shared memory for N slots, in whole lines of the cache. */
size_t slots_size(uint32_t n);

/* Make S a table of N slots in the zeroed shared memory AT, with the eventfd BELL. */
void slots_init(struct slots *s, void *at, uint32_t n, int bell);

/* Take a free slot for process OWNER, looking from *HINT on; sets *HINT to look there
 * next time.  Returns its index, or -ENOSPC when all are taken. */
int64_t slots_claim(struct slots *s, pid_t owner, uint32_t *hint);

/* The same, but when there is none, the bell will ring when one is freed. */
int64_t slots_claim_or_wait(struct slots *s, pid_t owner, uint32_t *hint);

/* Give slot I from process FROM to process TO; nothing happens if it is not FROM's.  Returns
 * whether it is TO's. */
bool slots_give(struct slots *s, uint32_t i, pid_t from, pid_t to);

/* Free slot I. */
void slots_release(struct slots *s, uint32_t i);

/* Free what the ended process OWNER held.  Returns how many connections. */
unsigned slots_free_owner(struct slots *s, pid_t owner);

/* Slots taken now. */
unsigned slots_used(const struct slots *s);

enum { SLOTS_PATIENCE_MIN = 1000 /* ms */ };

/* How long TIMEOUT (ms, not 0) is now: all of it up to 65 % of the slots, then less, in a
 * straight line down to a tenth when there is no slot left; but never less than a second,
 * unless it is less itself. */
uint32_t slots_patience(const struct slots *s, uint32_t timeout);

/* Ring the bell: everybody who serves these slots looks at the listeners again. */
void slots_ring(const struct slots *s);

/* Write PEER and the time into a slot; PEER alone, of an open connection; and read it back. */
void slot_open(struct slot *slot, const struct address *peer, uint64_t now);
void slot_set_peer(struct slot *slot, const struct address *peer);
void slot_peer(const struct slot *slot, struct address *peer);

#endif
