/* SPDX-License-Identifier: ISC */
/* The life of one connection of a load: opened, kept busy, closed, opened again.  Streams and
 * datagrams differ only in how they send, receive and judge (load_stream.c, load_dgram.c). */
#include "load_conn.h"

#include "moment.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
	RETRY = 100 * MOMENT_MS,       /* before a failed connection is tried again */
	RETRY_UNIX = 2 * MOMENT_MS,    /* the backlog of a unix socket is full: it drains soon */
	AUTOPSY_TIME = 250 * MOMENT_MS /* without a byte after which a damage is concluded */
};

int64_t load_due(const struct load_thread *t, const struct load_conn *c, uint64_t nth)
{
	double place = (double)nth * (double)t->conf->connections + (double)c->number;

	return atomic_load_explicit(&t->shared->start, memory_order_relaxed) +
	       (int64_t)(place * MOMENT_S / t->conf->rate);
}

void load_conn_watch(struct load_thread *t, struct load_conn *c, bool want_out)
{
	struct epoll_event ev = {.events = EPOLLIN | (want_out ? EPOLLOUT : 0), .data.ptr = c};

	if (c->want_out == want_out)
		return;
	c->want_out = want_out;
	epoll_ctl(t->epoll_fd, EPOLL_CTL_MOD, c->fd, &ev); /* it is in the set: cannot fail */
}

void load_conn_close(struct load_thread *t, struct load_conn *c)
{
	if (c->state == LOAD_CONNECTING)
		t->connecting--;
	t->in_flight -= c->in_flight;
	c->in_flight = c->unsent = 0;
	c->state = LOAD_IDLE;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	free(c->autopsy);
	c->autopsy = NULL;
}

void load_conn_fail(struct load_thread *t, struct load_conn *c, enum load_failure why)
{
	t->counts.failures[why]++;
	atomic_fetch_add(&t->shared->trouble, 1);
	load_conn_close(t, c);
	c->tried = true;
	c->retry = t->now + RETRY;
}

void load_conn_fail_errno(struct load_thread *t, struct load_conn *c, int error)
{
	static const struct {
		int error;
		enum load_failure why;
	} rows[] = {
		{ECONNREFUSED, LOAD_REFUSED},    {ENOENT, LOAD_REFUSED},
		{ETIMEDOUT, LOAD_TIMEOUT},       {EHOSTUNREACH, LOAD_UNREACHABLE},
		{ENETUNREACH, LOAD_UNREACHABLE}, {EHOSTDOWN, LOAD_UNREACHABLE},
		{ENETDOWN, LOAD_UNREACHABLE},    {EPERM, LOAD_UNREACHABLE},
		{EACCES, LOAD_UNREACHABLE},      {EMSGSIZE, LOAD_UNREACHABLE},
		{ECONNRESET, LOAD_RESET},        {EPIPE, LOAD_RESET},
		{ECONNABORTED, LOAD_RESET},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].error == error) {
			load_conn_fail(t, c, rows[i].why);
			return;
		}
	}
	load_conn_fail(t, c, LOAD_LOCAL);
}

/* So that ports suffice for many connections: bind to one of several addresses in turn. */
static int bind_rotating(const struct load_thread *t, const struct load_conn *c, int fd)
{
	struct sockaddr_in from = {.sin_family = AF_INET};
	int one = 1;

	if (t->conf->sources == 0)
		return 0;
	from.sin_addr.s_addr = inet_addr(t->conf->sock.source);
	from.sin_addr.s_addr = htonl(ntohl(from.sin_addr.s_addr) +
				     c->stream % (uint32_t)t->conf->sources);
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	return bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0 ? -errno : 0;
}

/* A socket for C in the epoll set.  Returns 0 or -errno. */
static int open_socket(struct load_thread *t, struct load_conn *c)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
	struct sock_conf conf = t->conf->sock;
	const char *what;
	int r;

	if (t->conf->sources > 0)
		conf.source = NULL;
	c->want_out = false;
	c->fd = sock_open(&conf, &t->conf->to, 0, &what);
	if (c->fd < 0)
		return c->fd;
	r = bind_rotating(t, c, c->fd);
	if (r < 0)
		return r;
	return epoll_ctl(t->epoll_fd, EPOLL_CTL_ADD, c->fd, &ev) < 0 ? -errno : 0;
}

static void stands(struct load_thread *t, struct load_conn *c)
{
	c->state = LOAD_OPEN;
	c->tried = true;
	c->active = t->now;
	t->counts.connects++;
	if (t->stream)
		hist_add(t->connect, (uint64_t)(moment_now() - c->opened));
}

void load_conn_open(struct load_thread *t, struct load_conn *c)
{
	int r;

	c->stream = atomic_fetch_add(&t->shared->next_stream, 1);
	c->opened = c->active = moment_now();
	r = open_socket(t, c);
	if (r == 0 && connect(c->fd, &t->conf->to.sa, t->conf->to.len) < 0)
		r = -errno;
	if (r == 0) {
		stands(t, c);
	} else if (r == -EINPROGRESS) {
		c->state = LOAD_CONNECTING;
		t->connecting++;
		load_conn_watch(t, c, true);
	} else if (r == -EAGAIN && t->conf->to.sa.sa_family == AF_UNIX) {
		load_conn_close(t, c);
		c->retry = t->now + RETRY_UNIX;
	} else {
		load_conn_fail_errno(t, c, -r);
	}
}

/* Take the next message of C into flight. */
static void start_message(struct load_thread *t, struct load_conn *c)
{
	const struct load_conf *conf = t->conf;
	struct load_message *m = &c->ring[(c->head + c->in_flight) & t->shared->ring_mask];
	uint64_t size = (uint64_t)sizes_next(&conf->sizes, c->started + c->number, &t->seed);

	m->due = t->now;
	if (t->open_loop) {
		m->due = load_due(t, c, c->started);
		c->owed--;
		t->owed--;
	}
	m->taken = t->now;
	m->done = false;
	m->begin = t->stream ? c->target : (c->target + 7) & ~7ULL;
	m->end = m->begin + size;
	c->target = size > 0 ? m->end : m->begin + 1; /* no two datagrams begin at the same byte */
	m->measured = m->due >= t->begin && m->due < t->end && t->left > 0;
	if (m->measured) {
		t->counts.sent++;
		if (--t->left == 0)
			t->running = false;
	}
	if (c->in_flight == 0)
		c->active = t->now;
	c->started++;
	c->in_flight++;
	c->unsent++;
	t->in_flight++;
	if (c->target > t->longest)
		t->longest = c->target;
}

static bool may_start(const struct load_thread *t, const struct load_conn *c)
{
	/* What was due in time is sent even if it is late. */
	if (t->open_loop ? c->owed == 0 || !t->started : !t->running)
		return false;
	return c->in_flight < t->depth && t->left > 0;
}

static void push(struct load_thread *t, struct load_conn *c)
{
	if (t->stream)
		load_stream_push(t, c);
	else
		load_dgram_push(t, c);
}

void load_conn_refill(struct load_thread *t, struct load_conn *c)
{
	bool one = t->connect_each;
	bool any = false;

	if (c->state != (one ? LOAD_IDLE : LOAD_OPEN) || (one && t->now < c->retry))
		return;
	if (one) {
		if (!may_start(t, c))
			return;
		c->sent = c->received = c->target = c->newest = 0;
		load_conn_open(t, c);
		if (c->state == LOAD_IDLE)
			return; /* the message is still due */
		start_message(t, c);
		any = c->state == LOAD_OPEN;
	} else {
		for (; may_start(t, c); any = true)
			start_message(t, c);
	}
	if (any && !c->want_out)
		push(t, c);
}

/* connect(2) has come to its end. */
static void connected(struct load_thread *t, struct load_conn *c)
{
	socklen_t size = sizeof(int);
	int error = 0;

	if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		error = errno;
	if (error) {
		load_conn_fail_errno(t, c, error);
		return;
	}
	t->connecting--;
	stands(t, c);
	load_conn_watch(t, c, false);
	if (c->sent < c->target)
		push(t, c);
	load_conn_refill(t, c);
}

void load_conn_ready(struct load_thread *t, struct load_conn *c, uint32_t events)
{
	if (c->state == LOAD_CONNECTING) {
		connected(t, c);
		return;
	}
	if (events & ~(uint32_t)EPOLLOUT) {
		if (t->stream)
			load_stream_pull(t, c);
		else
			load_dgram_pull(t, c);
	}
	if ((events & EPOLLOUT) && c->state == LOAD_OPEN)
		push(t, c);
	load_conn_refill(t, c);
}

/* A connection that does not stand may be tried again. */
static void tick_idle(struct load_thread *t, struct load_conn *c)
{
	if (t->now < c->retry || (c->tried && !t->running))
		return;
	if (!t->connect_each) {
		c->sent = c->received = c->target = c->newest = 0;
		load_conn_open(t, c);
	}
	load_conn_refill(t, c);
}

void load_conn_tick(struct load_thread *t, struct load_conn *c)
{
	int64_t quiet = t->now - c->active;

	switch (c->state) {
	case LOAD_IDLE:
		tick_idle(t, c);
		break;
	case LOAD_CONNECTING:
		if (quiet > t->conf->timeout)
			load_conn_fail(t, c, LOAD_TIMEOUT);
		break;
	case LOAD_OPEN:
	case LOAD_FIN:
		if (!t->stream)
			load_dgram_expire(t, c);
		else if ((c->in_flight > 0 || c->state == LOAD_FIN) && quiet > t->conf->timeout)
			load_stream_stalled(t, c);
		break;
	case LOAD_DAMAGED:
		if (quiet > AUTOPSY_TIME)
			load_stream_conclude(t, c);
		break;
	}
}

/* A measured message took so long. */
static void note_latency(struct load_thread *t, int64_t ns)
{
	hist_add(t->latency, ns > 0 ? (uint64_t)ns : 0);
	raw_add(t->raw, ns > 0 ? (uint64_t)ns : 0);
}

void load_conn_waited(struct load_thread *t, const struct load_conn *c)
{
	for (uint32_t i = 0; i < c->in_flight; i++) {
		const struct load_message *m = &c->ring[(c->head + i) & t->shared->ring_mask];

		if (m->measured)
			note_latency(t, t->now - m->due);
	}
}

void load_conn_give_up(struct load_thread *t, struct load_conn *c)
{
	if (c->state == LOAD_DAMAGED)
		load_stream_conclude(t, c);
	if (t->stream)
		load_conn_waited(t, c);
	else
		load_dgram_give_up(t, c);
	t->counts.unsent += c->owed;
	c->owed = 0;
	load_conn_close(t, c);
}

struct load_message *load_message_at(struct load_thread *t, struct load_conn *c, uint64_t at)
{
	for (uint32_t i = 0; i < c->in_flight; i++) {
		struct load_message *m = &c->ring[(c->head + i) & t->shared->ring_mask];

		if (m->begin <= at && (at < m->end || (m->begin == m->end && at == m->begin)))
			return m;
	}
	return NULL;
}

void load_message_pop(struct load_thread *t, struct load_conn *c)
{
	c->head = (c->head + 1) & t->shared->ring_mask;
	c->in_flight--;
	t->in_flight--;
}

void load_message_done(struct load_thread *t, struct load_conn *c, struct load_message *m)
{
	c->active = t->now;
	m->done = true;
	if (m->measured) {
		note_latency(t, t->now - m->due);
		t->counts.received++;
		t->last = t->now;
	}
	if (t->now >= t->begin && t->now < t->end) {
		t->counts.completed++;
		t->counts.bytes += m->end - m->begin;
	}
}

struct damage_world load_world(const struct load_thread *t)
{
	uint64_t longest = 4 * t->longest + (1 << 20); /* other threads' may be longer */

	return (struct damage_world){.first = 1,
				     .end = atomic_load(&t->shared->next_stream),
				     .limit = longest};
}

void load_damage(struct load_thread *t, struct load_conn *c, struct damage *d)
{
	struct load_shared *all = t->shared;
	struct load_message *m = load_message_at(t, c, d->at);

	if (m) {
		d->message = m->begin;
		d->message_size = m->end - m->begin;
	}
	t->counts.damages[d->kind]++;
	atomic_fetch_add(&all->trouble, 1);
	pthread_mutex_lock(&all->lock);
	if (all->n_damage < LOAD_DAMAGES_MAX)
		all->damage[all->n_damage++] = *d;
	pthread_mutex_unlock(&all->lock);
}
