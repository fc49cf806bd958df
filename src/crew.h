/* SPDX-License-Identifier: ISC */
/* crew.h - the worker processes of one service under one configuration, and the memory that
 * they share: started together, replaced one by one when they die, drained together. */
#ifndef ECHOD_CREW_H
#define ECHOD_CREW_H

#include "acl.h"
#include "process.h"
#include "sandbox.h"
#include "siphash.h"
#include "slots.h"
#include "stats.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct conf;
struct endpoint;
struct handshakes;
struct quotas;
struct own;
struct service_conf;

/* One worker process, or the place for it. */
struct member {
	pid_t pid;              /* 0: not running */
	bool up;                /* it has said that it serves */
	uint64_t started;       /* ms */
	unsigned starts;        /* how many times */
	uint64_t start_at;      /* ms: when to start it (again); 0 = no need */
	uint32_t backoff;       /* ms to wait before the next start, if it dies young */
	uint64_t stopped_since; /* ms: by a signal such as SIGSTOP; 0 = it is not */
	unsigned stuck;         /* looks in a row at which an executor had not moved */
};

/* What all crews are given alike. */
struct crew_env {
	struct identity identity;
	const struct own *own;
	struct sandbox sandbox;        /* what the system has of it */
	struct siphash_key key;        /* of all tables that are keyed by a source */
	struct handshakes *handshakes; /* shared: who has completed one */
	int hello;                     /* write end: who is up */
};

/* The sockets of a crew: ROWS of N, a row for each executor, or one for all. */
struct crew_sockets {
	struct endpoint *endpoints;
	size_t n;
	unsigned rows;
};

struct crew {
	struct crew *next;
	char *name;                         /* of the service */
	const struct conf *conf;            /* not ours; only while not draining */
	const struct service_conf *service; /* likewise */
	const struct crew_env *env;
	struct endpoint *endpoints; /* copies: the descriptors are the listeners' */
	size_t n_endpoints;         /* in a row; executor I of the crew has row I, round robin */
	unsigned rows;
	struct member *members;
	unsigned n_members, blocks_per_member;
	unsigned max_clients; /* fitted to the descriptors */
	void *shared;         /* the mapping, of shared_size bytes: */
	size_t shared_size;
	struct stats *stats; /* a block per executor; the last is the supervisor's */
	struct slots *slots; /* &table; NULL for datagrams */
	struct slots table;
	struct quotas *quotas;
	struct sandbox_filters filters;
	uint32_t *last_beats; /* beats at the last look */
	int leash[2];         /* pipe; our end is [1], -1 once it is cut */
	int bell;
	bool draining;
	bool barring;       /* while draining: who is not allowed is closed */
	struct acl allowed; /* who is, then */
	uint64_t deaf_at;   /* ms: when they are taken to take no more clients, whatever they say */
	uint64_t cut_at;    /* ms: when draining has lasted long enough */
	uint64_t kill_at;   /* ms: when workers that were cut off must be gone */
	uint64_t ring_at;   /* ms: when to ring the bell after a death; 0 = no need */
	uint32_t ring_wait; /* ms after the last time */
};

/* A crew for SERVICE of CONF on SOCKETS (copied).  Nothing runs yet.  Returns NULL with
 * errno set. */
struct crew *crew_new(const struct conf *conf, const struct service_conf *service,
		      const struct crew_sockets *sockets, const struct crew_env *env);

/* Free C; its workers are gone or will go, since this cuts the leash.  Returns NULL. */
struct crew *crew_free(struct crew *c);

/* Start every worker that is due, and ring the bell if that is. */
void crew_start(struct crew *c, uint64_t now);

/* Tell the workers to drain; they have LIMIT ms. */
void crew_drain(struct crew *c, uint64_t now, uint32_t limit);

/* Before it drains: who is not allowed by ACCESS, which may change later, is closed at once. */
void crew_bar(struct crew *c, const struct acl *access);

/* Tell the workers to leave at once. */
void crew_cut(struct crew *c, uint64_t now);

/* Process PID is up: is it ours? */
bool crew_up(struct crew *c, pid_t pid);

/* Process PID has ended with STATUS (of wait(2)) but is not reaped yet: free what it held,
 * and plan its replacement if it was a worker that should live.  Is it of this crew? */
bool crew_ended(struct crew *c, pid_t pid, int status, uint64_t now);

/* Process PID was stopped or continued by a signal. */
void crew_stopped(struct crew *c, pid_t pid, bool stopped, uint64_t now);

/* Once a second: kill workers that are stuck or stopped for too long. */
void crew_check(struct crew *c, uint64_t now);

/* Draining: cut off, and then kill, whoever is left when the time is up. */
void crew_expire(struct crew *c, uint64_t now);

/* When crew_start() or crew_expire() has work: ms, UINT64_MAX = never. */
uint64_t crew_deadline(const struct crew *c);

/* Do all workers serve? */
bool crew_is_up(const struct crew *c);

/* Of a crew that drains: does no worker take clients any more?  One that does not say so within a
 * second, since it is stopped or hangs, is not waited for. */
bool crew_is_deaf(const struct crew *c, uint64_t now);

/* Draining, and nobody left? */
bool crew_is_gone(const struct crew *c);

/* Add the crew's counters to SUM. */
void crew_sum(const struct crew *c, uint64_t sum[N_COUNTERS]);

#endif
