/* SPDX-License-Identifier: ISC */
/* Crews.  A worker that is replaced goes on with the counters of the one before it
 * (crew_memory.c). */
#include "crew.h"

#include "conf.h"
#include "crew_memory.h"
#include "log.h"
#include "slots.h"
#include "timer.h"
#include "worker.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	YOUNG = 5000,       /* ms: who dies before that waits before the next start */
	BACKOFF_FIRST = 10, /* ms; the first time it is replaced at once */
	BACKOFF_MOST = 500, /* ms; a cause that is gone is forgotten within that */
	HEARS_MOST = 1000,  /* ms for workers to take note that they are to drain */
	CUT_GRACE = 1000,   /* ms for workers that were cut off to leave */
	RING_FIRST = 10,    /* ms from a death to the bell; each wait is ten times the last */
	RING_LAST = 1000    /* ms */
};

static int open_lines(struct crew *c)
{
	c->bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (c->bell < 0 || pipe2(c->leash, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

static const struct sandbox *sandbox_of(const struct crew *c)
{
	return c->conf->sandbox == SANDBOX_OFF ? NULL : &c->env->sandbox;
}

static int fill(struct crew *c, const struct endpoint *endpoints)
{
	size_t n = c->n_endpoints * c->rows;
	int r;

	c->name = strdup(c->service->name);
	c->endpoints = calloc(n, sizeof(*c->endpoints));
	c->members = calloc(c->n_members, sizeof(*c->members));
	c->last_beats = calloc((size_t)c->n_members * c->blocks_per_member, sizeof(uint32_t));
	if (!c->name || !c->endpoints || !c->members || !c->last_beats)
		return -ENOMEM;
	memcpy(c->endpoints, endpoints, n * sizeof(*endpoints));
	for (unsigned i = 0; i < c->n_members; i++)
		c->members[i].start_at = 1;
	r = open_lines(c);
	if (r == 0)
		r = sandbox_filters_make(sandbox_of(c), c->service, &c->filters);
	return r < 0 ? r : crew_memory_map(c);
}

struct crew *crew_new(const struct conf *conf, const struct service_conf *service,
		      const struct crew_sockets *sockets, const struct crew_env *env)
{
	struct crew *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return NULL;
	c->conf = conf;
	c->service = service;
	c->env = env;
	c->n_endpoints = sockets->n;
	c->rows = sockets->rows;
	c->n_members = service->model->many_processes ? service->workers : 1;
	c->blocks_per_member = crew_memory_blocks(c);
	c->max_clients = process_connections(&conf->process, service);
	c->bell = c->leash[0] = c->leash[1] = -1;
	r = fill(c, sockets->endpoints);
	if (r == 0)
		return c;
	crew_free(c);
	errno = -r;
	return NULL;
}

static void close_line(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

struct crew *crew_free(struct crew *c)
{
	close_line(&c->bell);
	close_line(&c->leash[0]);
	close_line(&c->leash[1]);
	crew_memory_unmap(c);
	sandbox_filters_free(&c->filters);
	acl_clear(&c->allowed);
	free(c->last_beats);
	free(c->members);
	free(c->endpoints);
	free(c->name);
	free(c);
	return NULL;
}

static struct stats *own_block(const struct crew *c)
{
	return &c->stats[(size_t)c->n_members * c->blocks_per_member];
}

/* Fork worker I.  Returns its pid, or -errno. */
static pid_t spawn(struct crew *c, unsigned i)
{
	bool threads = c->service->model->many_threads;
	struct worker w = {
		.conf = c->service,
		.process = &c->conf->process,
		.identity = c->env->identity,
		.log = &c->conf->log,
		.sandbox = sandbox_of(c),
		.filters = &c->filters,
		.sockets = &c->endpoints[threads ? 0 : i % c->rows * c->n_endpoints],
		.n_endpoints = c->n_endpoints,
		.rows = threads ? c->rows : 1,
		.alone = c->rows >= c->n_members * (threads ? c->service->workers : 1),
		.quotas = c->quotas,
		.handshakes = c->env->handshakes,
		.slots = c->slots,
		.stats = &c->stats[(size_t)i * c->blocks_per_member],
		.own = c->env->own,
		.leash = c->leash[0],
		.hello = c->env->hello,
		.number = i + 1,
	};
	pid_t pid = fork();

	if (pid == 0)
		worker_main(&w);
	return pid < 0 ? -errno : pid;
}

/* After a start that the system refused, or a death, the next try. */
static void plan(struct member *m, uint64_t now)
{
	if (now - m->started >= YOUNG)
		m->backoff = 0;
	m->start_at = now + m->backoff;
	m->backoff = m->backoff ? m->backoff * 2 : BACKOFF_FIRST;
	if (m->backoff > BACKOFF_MOST)
		m->backoff = BACKOFF_MOST;
}

/* A process that was killed with a ring may answer once for the living, for a while: the kernel
 * takes the ring apart later, and until then its watch of a shared listener may be the one that a
 * client wakes.  So everybody looks, at once and a few times more. */
static void ring_soon(struct crew *c, uint64_t now)
{
	c->ring_wait = RING_FIRST;
	c->ring_at = now + RING_FIRST;
}

static void ring(struct crew *c, uint64_t now)
{
	if (c->ring_at == 0 || now < c->ring_at || !c->slots)
		return;
	slots_ring(c->slots);
	c->ring_wait *= 10;
	c->ring_at = c->ring_wait <= RING_LAST ? now + c->ring_wait : 0;
}

void crew_start(struct crew *c, uint64_t now)
{
	ring(c, now);
	for (unsigned i = 0; i < c->n_members; i++) {
		struct member *m = &c->members[i];
		pid_t pid;

		if (m->pid > 0 || m->start_at == 0 || m->start_at > now || c->draining)
			continue;
		pid = spawn(c, i);
		if (pid < 0) {
			stats_add(own_block(c), C_SPAWN_FAILED, 1);
			log_event(EVENT_WORKER_NOT_STARTED, F_TEXT(SERVICE, c->name),
				  F_NUMBER(WORKER, i + 1), F_NUMBER(ERRNO, -pid));
			m->started = now; /* that a worker lived long is no reason to hurry now */
			plan(m, now);
			if (m->start_at == now)
				m->start_at = now + BACKOFF_FIRST;
			continue;
		}
		m->pid = pid;
		m->up = false;
		m->started = now;
		m->starts++;
		m->start_at = 0;
		m->stopped_since = 0;
		m->stuck = 0;
		stats_add(own_block(c), C_WORKERS_STARTED, 1);
		log_event(EVENT_WORKER_STARTED, F_TEXT(SERVICE, c->name), F_NUMBER(WORKER, i + 1),
			  F_NUMBER(PID, pid));
	}
}

void crew_drain(struct crew *c, uint64_t now, uint32_t limit)
{
	if (c->draining)
		return;
	c->draining = true;
	c->conf = NULL;
	c->service = NULL;
	c->deaf_at = now + HEARS_MOST;
	c->cut_at = now + limit;
	if (write(c->leash[1], "d", 1) < 0) {
		log_err("service=%s cannot tell its workers to drain, they are cut off: %m",
			c->name);
		crew_cut(c, now);
	}
}

void crew_bar(struct crew *c, const struct acl *access)
{
	c->barring = acl_copy(&c->allowed, access) == 0;
	crew_memory_bar(c, access);
}

void crew_cut(struct crew *c, uint64_t now)
{
	if (c->leash[1] < 0)
		return;
	c->draining = true;
	close_line(&c->leash[1]);
	c->kill_at = now + CUT_GRACE;
}

bool crew_up(struct crew *c, pid_t pid)
{
	for (unsigned i = 0; i < c->n_members; i++)
		if (c->members[i].pid == pid)
			return c->members[i].up = true;
	return false;
}

/* Free the slots of the dead, and count what was lost with him. */
static bool bury(struct crew *c, pid_t pid)
{
	unsigned lost = c->slots ? slots_free_owner(c->slots, pid) : 0;

	if (lost > 0)
		stats_add(own_block(c), C_CLOSED_KILLED, lost);
	return lost > 0;
}

static void tell_of_call(const struct crew *c, unsigned i)
{
	char what[100];

	snprintf(what, sizeof(what), "service=%s worker %u", c->name, i + 1);
	sandbox_log_end(&c->stats[(size_t)i * c->blocks_per_member].forbidden, c->name, what,
			c->members[i].pid);
}

static void tell_of_death(const struct crew *c, unsigned i, int status)
{
	pid_t pid = c->members[i].pid;

	if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		tell_of_call(c, i);
	if (WIFSIGNALED(status))
		log_event(EVENT_WORKER_DIED, F_TEXT(SERVICE, c->name), F_NUMBER(WORKER, i + 1),
			  F_NUMBER(PID, pid), F_NUMBER(SIGNAL, WTERMSIG(status)));
	else
		log_event(EVENT_WORKER_DIED, F_TEXT(SERVICE, c->name), F_NUMBER(WORKER, i + 1),
			  F_NUMBER(PID, pid), F_NUMBER(EXIT_STATUS, WEXITSTATUS(status)));
}

/* An executor that died awake must not look stuck in the next one's life. */
static void settle_beats(struct crew *c, unsigned i)
{
	for (unsigned b = 0; b < c->blocks_per_member; b++) {
		struct stats *s = &c->stats[(size_t)i * c->blocks_per_member + b];

		if (s->beat & 1)
			s->beat++;
	}
}

bool crew_ended(struct crew *c, pid_t pid, int status, uint64_t now)
{
	bool ours = bury(c, pid);

	if (c->slots && !c->draining)
		ring_soon(c, now);
	for (unsigned i = 0; i < c->n_members; i++) {
		struct member *m = &c->members[i];

		if (m->pid != pid)
			continue;
		settle_beats(c, i);
		if (!c->draining) {
			tell_of_death(c, i, status);
			stats_add(own_block(c), C_WORKERS_DIED, 1);
			plan(m, now);
		}
		m->pid = 0;
		m->up = false;
		return true;
	}
	return ours;
}

static bool is_child(pid_t pid)
{
	siginfo_t who;

	return waitid(P_PID, (id_t)pid, &who, WEXITED | WNOHANG | WNOWAIT) == 0;
}

/* Workers, and the clients' processes that outlived theirs, which are our children by then: the
 * slots know them.  But a worker can write what it likes there, and we may be able to kill
 * anybody: who is none of ours has no slot. */
static void kill_all(const struct crew *c)
{
	bool any = false;

	for (unsigned i = 0; i < c->n_members; i++) {
		any |= c->members[i].pid > 0;
		if (c->members[i].pid > 0)
			kill(c->members[i].pid, SIGKILL);
	}
	for (uint32_t i = 0; c->slots && i < c->slots->n; i++) {
		pid_t owner = c->slots->owner[i];

		if (owner > 0 && is_child(owner))
			kill(owner, SIGKILL);
		else if (owner != 0 && !any)
			slots_free_owner(c->slots, owner);
	}
}

void crew_expire(struct crew *c, uint64_t now)
{
	if (!c->draining)
		return;
	if (c->leash[1] >= 0 && now >= c->cut_at) {
		log_event(EVENT_CUT_OFF, F_TEXT(SERVICE, c->name));
		crew_cut(c, now);
	} else if (c->leash[1] < 0 && now >= c->kill_at) {
		kill_all(c);
		c->kill_at = now + CUT_GRACE;
	}
}

uint64_t crew_deadline(const struct crew *c)
{
	uint64_t when = c->ring_at ? c->ring_at : UINT64_MAX;

	if (c->draining)
		return c->leash[1] >= 0 ? c->cut_at : c->kill_at;
	for (unsigned i = 0; i < c->n_members; i++) {
		const struct member *m = &c->members[i];

		if (m->pid == 0 && m->start_at > 0 && m->start_at < when)
			when = m->start_at;
	}
	return when;
}

bool crew_is_up(const struct crew *c)
{
	for (unsigned i = 0; i < c->n_members; i++)
		if (!c->members[i].up)
			return false;
	return true;
}

bool crew_is_gone(const struct crew *c)
{
	for (unsigned i = 0; i < c->n_members; i++)
		if (c->members[i].pid > 0)
			return false;
	return c->draining && (!c->slots || slots_used(c->slots) == 0);
}

void crew_sum(const struct crew *c, uint64_t sum[N_COUNTERS])
{
	size_t blocks = (size_t)c->n_members * c->blocks_per_member + 1;

	for (size_t i = 0; i < blocks; i++)
		stats_sum(sum, &c->stats[i]);
}
