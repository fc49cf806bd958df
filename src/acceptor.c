/* SPDX-License-Identifier: ISC */
/* Taking clients.  The right to a connection, a slot, is claimed before accept4(2), so that
 * a client that cannot be served stays in the backlog.  Where it is to be turned away instead, it
 * is claimed after that: nobody has a slot and no client for it, while another finds none left.
 *
 * Several processes watch one listener with EPOLLEXCLUSIVE: a client wakes one of them.
 * Whoever is woken and does not accept must see to it that somebody else looks: it rings
 * the bell, which all hear.  Who takes the listeners out of its set for good accepts once
 * more after that: one wake-up that was meant for it alone may be on its way.  Not who was told
 * to drain while it served: it did not sleep, and the client belongs to its successor. */
#include "acceptor.h"

#include "address.h"
#include "admission.h"
#include "conf.h"
#include "executor.h"
#include "log.h"
#include "slots.h"
#include "sockopt.h"
#include "stats.h"
#include "worker.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	RETRY = 100,   /* ms between looks while the system is out of something */
	ACCEPTS = 8,   /* clients taken before the connections get their turn */
	REFUSALS = 64, /* clients in a row that may be refused while one is looked for */
	FAILURES = 64  /* in a row that may each be one client's own */
};

/* What an error of accept4(2) means.  The manual page wants network errors of the new
 * socket to be treated like EAGAIN. */
static const struct accept_error {
	int error;
	enum counter counter;
	bool shortage; /* of something that comes back: pause */
} accept_errors[] = {
	{EMFILE, C_ACCEPT_EMFILE, true},
	{ENFILE, C_ACCEPT_ENFILE, true},
	{ENOBUFS, C_ACCEPT_ENOBUFS, true},
	{ENOMEM, C_ACCEPT_ENOMEM, true},
	{ECONNABORTED, C_ACCEPT_ABORTED, false},
	{EPROTO, C_ACCEPT_ABORTED, false},
	{ENETDOWN, C_ACCEPT_ABORTED, false},
	{ENOPROTOOPT, C_ACCEPT_ABORTED, false},
	{EHOSTDOWN, C_ACCEPT_ABORTED, false},
	{ENONET, C_ACCEPT_ABORTED, false},
	{EHOSTUNREACH, C_ACCEPT_ABORTED, false},
	{EOPNOTSUPP, C_ACCEPT_ABORTED, false},
	{ENETUNREACH, C_ACCEPT_ABORTED, false},
	{ETIMEDOUT, C_ACCEPT_ABORTED, false},
	{EPERM, C_ACCEPT_ABORTED, false}, /* a firewall's no */
	{0, C_ACCEPT_OTHER, true},        /* anything else: no reason to spin */
};

static int watch(struct acceptor *a, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event ev = {.events = events, .data.u64 = data};

	if (a->ep < 0)
		return 0;
	return epoll_ctl(a->ep, EPOLL_CTL_ADD, fd, &ev) < 0 ? -errno : 0;
}

/* Who was in trouble the last time may not be the only one to be woken: it would sleep
 * through the wake-up that another executor could have answered. */
static int arm(struct acceptor *a)
{
	const struct worker *w = a->executor->worker;
	uint32_t events = a->troubled ? EPOLLIN : EPOLLIN | EPOLLEXCLUSIVE;

	for (size_t i = 0; i < w->n_endpoints && !a->armed; i++) {
		int r = watch(a, a->executor->endpoints[i].fd, events, tag_make(TAG_LISTENER, i));

		if (r < 0 && r != -EEXIST)
			return r;
	}
	a->armed = true;
	return 0;
}

void acceptor_init_bare(struct acceptor *a, struct executor *ex)
{
	const struct worker *w = ex->worker;

	*a = (struct acceptor){
		.executor = ex, .ep = -1, .armed = true, .accepts = 1, .pid = getpid()};
	if (w->slots)
		a->hint = (uint32_t)((uint64_t)w->slots->n * (w->number - 1 + ex->index) /
				     w->conf->workers);
}

int acceptor_init(struct acceptor *a, struct executor *ex)
{
	const struct worker *w = ex->worker;
	int r;

	acceptor_init_bare(a, ex);
	a->armed = false;
	a->ep = epoll_create1(EPOLL_CLOEXEC);
	if (a->ep < 0)
		return -errno;
	r = watch(a, w->leash, EPOLLIN, tag_make(TAG_LEASH, 0));
	if (r == 0 && w->slots)
		r = watch(a, w->slots->bell, EPOLLIN | EPOLLET, tag_make(TAG_BELL, 0));
	if (r == 0)
		r = arm(a);
	if (r < 0)
		acceptor_deinit(a);
	return r;
}

void acceptor_deinit(struct acceptor *a)
{
	if (a->ep >= 0)
		close(a->ep);
	a->ep = -1;
}

int acceptor_watch(struct acceptor *a, int fd)
{
	return watch(a, fd, EPOLLIN, tag_make(TAG_EXTRA, 0));
}

/* Out of the set explicitly: other processes hold the same sockets, so that to close a
 * descriptor would not end the watch (epoll(7), questions and answers 6). */
void acceptor_disarm(struct acceptor *a)
{
	const struct worker *w = a->executor->worker;

	for (size_t i = 0; i < w->n_endpoints && a->armed && a->ep >= 0; i++)
		epoll_ctl(a->ep, EPOLL_CTL_DEL, a->executor->endpoints[i].fd, NULL);
	a->armed = false;
}

/* Take no more for now, since it cannot be DONE for ERROR; look again in a tenth of a second. */
static void rest(struct acceptor *a, const char *done, int error)
{
	acceptor_disarm(a);
	a->retry_at = a->executor->now + RETRY;
	log_event(EVENT_ACCEPT_PAUSED, F_TEXT(SERVICE, a->executor->worker->conf->name),
		  F_TEXT(WHAT, done), F_NUMBER(ERRNO, error));
}

void acceptor_rest(struct acceptor *a, int error)
{
	rest(a, "receive", error);
}

/* The limit is reached: the bell tells when a slot is free. */
static void wait_for_room(struct acceptor *a)
{
	const struct worker *w = a->executor->worker;

	acceptor_disarm(a);
	log_event(EVENT_FULL, F_TEXT(SERVICE, w->conf->name), F_NUMBER(MAX_CLIENTS, w->slots->n),
		  F_TEXT(STATE, "wait"));
}

static void failed(struct acceptor *a, int error)
{
	const struct accept_error *row = accept_errors;

	if (error == EAGAIN || error == EINTR || (error == EINVAL && ++a->failures < FAILURES))
		return; /* EINVAL: who has shut the listener?  The supervisor says so by the leash. */
	while (row->error && row->error != error)
		row++;
	stats_add(a->executor->stats, row->counter, 1);
	if (!row->shortage && ++a->failures < FAILURES)
		return;
	rest(a, "accept", error);
	if (!a->troubled)
		slots_ring(a->executor->worker->slots); /* let others take who woke us */
	a->troubled = true;
}

/* Close the connection of a client that nobody serves: with RST, or else with FIN, if what has
 * come can be read first; without SO_LINGER, or who does not acknowledge that would hold us. */
static void dismiss(int fd, bool reset)
{
	struct linger how = {.l_onoff = reset, .l_linger = 0};
	char waste[4096];

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &how, sizeof(how));
	if (!reset) {
		shutdown(fd, SHUT_WR);
		for (int n = 0; n < 16 && recv(fd, waste, sizeof(waste), MSG_DONTWAIT) > 0; n++)
			;
	}
	close(fd);
}

/* The service is full and is not to let clients wait. */
static void turn_away(struct acceptor *a, int fd)
{
	const struct worker *w = a->executor->worker;

	dismiss(fd, w->conf->when_full == FULL_RESET);
	stats_add(a->executor->stats, C_REJECTED_FULL, 1);
	log_event(EVENT_FULL, F_TEXT(SERVICE, w->conf->name), F_NUMBER(MAX_CLIENTS, w->slots->n),
		  F_TEXT(STATE, "are turned away"));
}

/* Options that accept(2) does not copy.  One that fails is worth a line, and he is served. */
static void set_options(const struct worker *w, size_t i, int fd)
{
	const struct sockopt_row *row;
	int r = sockopt_apply(fd, &w->conf->sockopts, AT_CONNECTION, w->conf->protocol,
			      w->sockets[i].address.sa.sa_family, &row);

	if (r < 0)
		log_event(EVENT_OPTION_FAILED, F_TEXT(SERVICE, w->conf->name),
			  F_TEXT(OPTION, row->name), F_NUMBER(ERRNO, -r));
}

/* A slot for the next client, or -EAGAIN: claim it when there is one; -ENOSPC if the service is
 * full, and he is to wait; or -EMFILE if this process alone is, while others may have room. */
static int64_t claim(struct acceptor *a)
{
	const struct worker *w = a->executor->worker;
	int64_t slot;

	if (w->conf->when_full != FULL_WAIT)
		return a->open < w->capacity || slots_used(w->slots) == w->slots->n ? -EAGAIN
										    : -EMFILE;
	slot = slots_claim_or_wait(w->slots, a->pid, &a->hint);
	if (slot < 0 || a->open < w->capacity)
		return slot;
	slots_release(w->slots, (uint32_t)slot);
	return -EMFILE;
}

/* The next client's socket and *PEER, or -1. */
static int take_off(struct acceptor *a, size_t i, struct address *peer)
{
	int fd;

	peer->len = sizeof(*peer) - offsetof(struct address, sa);
	fd = accept4(a->executor->endpoints[i].fd, &peer->sa, &peer->len,
		     SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0 || errno == EAGAIN)
		a->failures = 0;
	if (fd >= 0 && a->troubled) {
		a->troubled = false;
		acceptor_resume(a);
	}
	return fd;
}

/* Take a client.  Returns 0; -EAGAIN if none can be; or -EACCES when one was refused. */
static int take(struct acceptor *a, size_t i, struct client *client)
{
	const struct worker *w = a->executor->worker;
	int64_t slot = claim(a);
	struct address peer;
	int fd;

	if (slot == -EMFILE) {
		failed(a, EMFILE);
		return -EAGAIN;
	}
	if (slot == -ENOSPC) {
		wait_for_room(a);
		return -EAGAIN;
	}
	fd = take_off(a, i, &peer);
	if (fd < 0) {
		failed(a, errno);
		if (slot >= 0)
			slots_release(w->slots, (uint32_t)slot);
		return -EAGAIN;
	}
	if (slot == -EAGAIN)
		slot = slots_claim(w->slots, a->pid, &a->hint);
	if (slot < 0) {
		turn_away(a, fd);
		return -EAGAIN;
	}
	if (!admission_open(a->executor, &peer, (uint32_t)slot)) {
		slots_release(w->slots, (uint32_t)slot);
		dismiss(fd, false);
		return -EACCES;
	}
	a->open++;
	w->slots->slot[slot].proxy = w->conf->proxy_protocol == PROXY_REQUIRE;
	slot_open(&w->slots->slot[slot], &peer, a->executor->now);
	stats_add(a->executor->stats, C_CONNECTIONS_ACCEPTED, 1);
	set_options(w, i, fd);
	*client = (struct client){.fd = fd, .slot = (uint32_t)slot};
	return 0;
}

bool acceptor_take(struct acceptor *a, size_t i, struct client *client)
{
	for (int n = 0; n < REFUSALS; n++) {
		int r = take(a, i, client);

		if (r != -EACCES)
			return r == 0;
	}
	return false;
}

/* To ask an empty listener costs nearly as much as a client: take one, and more only while
 * clients come faster than that, so that one is there at wait after wait. */
unsigned acceptor_take_some(struct acceptor *a, size_t i,
			    void (*taken)(void *arg, const struct client *client), void *arg)
{
	struct client client;
	unsigned n = 0;

	if (a->waits - a->came_at > 1)
		a->accepts = 1;
	a->came_at = a->waits;
	while (n < a->accepts && acceptor_take(a, i, &client)) {
		taken(arg, &client);
		n++;
	}
	if (n < a->accepts)
		a->accepts = 1;
	else if (a->accepts < ACCEPTS)
		a->accepts *= 2;
	return n;
}

void acceptor_left(struct acceptor *a)
{
	a->open--;
	if (a->retry_at > 0)
		acceptor_resume(a);
}

void acceptor_resume(struct acceptor *a)
{
	int r;

	a->retry_at = 0;
	if (a->executor->draining)
		return;
	acceptor_disarm(a); /* to add it again is to look whether anybody waits */
	r = arm(a);
	if (r < 0) /* ENOMEM, ENOSPC (max_user_watches): again later */
		rest(a, "watch its listeners", -r);
}

bool acceptor_sweep(struct acceptor *a, struct client *client)
{
	for (size_t i = 0; i < a->executor->worker->n_endpoints; i++)
		if (acceptor_take(a, i, client))
			return true;
	return false;
}

enum accepted acceptor_ready(struct acceptor *a, size_t *i)
{
	struct executor *ex = a->executor;
	struct epoll_event ev;

	while (!ex->draining && !ex->leaving) {
		uint64_t deadline = a->retry_at > 0 ? a->retry_at : UINT64_MAX;

		if (ex->now >= deadline)
			acceptor_resume(a);
		if (executor_wait_events(ex, a->ep, &ev, 1, deadline) < 1)
			continue;
		switch (tag_of(ev.data.u64)) {
		case TAG_LEASH:
			executor_leash(ex, ev.events);
			break;
		case TAG_BELL:
			acceptor_resume(a);
			break;
		case TAG_EXTRA:
			return ACCEPT_EXTRA;
		default:
			*i = (size_t)(ev.data.u64 & UINT32_MAX);
			return ACCEPT_CLIENT;
		}
	}
	acceptor_disarm(a);
	return ACCEPT_STOP;
}

enum accepted acceptor_wait(struct acceptor *a, struct client *client)
{
	bool was_told = a->executor->draining;
	enum accepted r;
	size_t i;

	while ((r = acceptor_ready(a, &i)) == ACCEPT_CLIENT)
		if (acceptor_take(a, i, client))
			return ACCEPT_CLIENT;
	if (r == ACCEPT_STOP && !was_told && !a->executor->leaving && acceptor_sweep(a, client))
		return ACCEPT_CLIENT;
	return r;
}
