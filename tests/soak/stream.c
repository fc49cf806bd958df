/* SPDX-License-Identifier: ISC */
/* stream.c - the connections of a load: each place has one after another, of the kinds that
 * stand in a table.  Every word of 64 bits says whose it is and where it stands, so that a byte
 * of another connection, or from another place, is seen at once. */
#define _GNU_SOURCE 1
#include "load.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = 65536 };
#define PATIENCE (60000ULL * MS) /* without a byte either way */

/* How a connection ends. */
enum end {
	END_CLOSE, /* by close(2), when all is back */
	END_HALF,  /* by shutdown(2) behind the last byte, and the other side's end of file */
	END_RESET  /* by RST, somewhere in the middle */
};

/* A kind of connection. */
struct kind {
	const char *name;
	uint32_t min, max; /* bytes */
	uint32_t window;   /* the most that may be out; a message, if less than all */
	uint32_t pause;    /* ms from an answer to the next message, at most */
	uint32_t late;     /* ms at the start in which nothing is read, at most */
	uint32_t step;     /* bytes that are read every tick afterwards; 0 = all that is there */
	uint32_t rest;     /* ms from one connection to the next */
	enum end end;
	unsigned places; /* of 24 */
};

static const struct kind kinds[] = {
	{"short", 1, 1000, UINT32_MAX, 0, 0, 0, 0, END_CLOSE, 6},
	{"half", 1, 30000, UINT32_MAX, 0, 0, 0, 0, END_HALF, 4},
	{"talk", 500, 10000, 500, 0, 0, 0, 0, END_HALF, 3},
	{"reset", 1, 100000, UINT32_MAX, 0, 0, 0, 5, END_RESET, 2},
	{"bulk", 100000, 1500000, UINT32_MAX, 0, 0, 0, 300, END_HALF, 1},
	{"slow", 300000, 900000, UINT32_MAX, 0, 300, 16384, 1000, END_HALF, 2},
	{"long", 2000, 8000, 100, 300, 0, 0, 0, END_CLOSE, 6},
};

enum { N_KINDS = sizeof(kinds) / sizeof(kinds[0]) };

enum state { CLOSED, CONNECTING, OPEN };

struct place {
	const struct kind *kind;
	enum state state;
	int fd;
	uint64_t id;  /* of the connection, 40 bits */
	uint64_t key; /* by which the other side's end of it can be found */
	uint32_t total, sent, got;
	uint32_t reset_at;                         /* when so much is back */
	uint64_t opened, moved, write_at, read_at; /* ns */
	uint32_t events;                           /* that are waited for */
	bool shut;
};

static struct place *places;
static unsigned n_open;

/* Write the bytes FROM to FROM + N of connection ID into BUF. */
static void fill(uint64_t id, uint32_t from, size_t n, char *buf)
{
	uint64_t words[2];

	while (n > 0) {
		size_t skip = from % 8, len = 8 - skip < n ? 8 - skip : n;

		words[0] = id << 24 | from / 8;
		memcpy(buf, (char *)words + skip, len);
		buf += len;
		from += (uint32_t)len;
		n -= len;
	}
}

/* The other side's end has our port, or is the peer of our inode. */
static uint64_t find_key(int fd)
{
	struct sockaddr_storage own;
	socklen_t len = sizeof(own);
	struct stat st;

	if (load.family == AF_UNIX)
		return fstat(fd, &st) < 0 ? 0 : st.st_ino;
	if (getsockname(fd, (struct sockaddr *)&own, &len) < 0)
		return 0;
	return ntohs(((struct sockaddr_in *)&own)->sin_port); /* at the same place in IPv6 */
}

static void watch(struct place *p, uint32_t events)
{
	struct epoll_event ev = {.events = events, .data.ptr = p};

	if (events == p->events)
		return;
	if (epoll_ctl(load.epoll_fd, p->events == UINT32_MAX ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, p->fd,
		      &ev) < 0)
		load_die("epoll_ctl");
	p->events = events;
}

static void leave(struct place *p)
{
	close(p->fd);
	p->state = CLOSED;
	p->write_at = load.now + (uint64_t)p->kind->rest * MS;
	n_open--;
}

static void done(struct place *p)
{
	load.done++;
	leave(p);
}

static void reset(struct place *p)
{
	struct linger hard = {.l_onoff = 1};

	setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	load.reset++;
	leave(p);
}

static void lose(struct place *p, const char *why)
{
	printf("lost %" PRIu64 " %s %s %" PRIu64 " %" PRIu64 " %u %u %u %u\n", p->key,
	       p->kind->name, why, p->opened, load_clock(), p->total, p->sent, p->got, p->shut);
	load.lost++;
	leave(p);
}

static const char *word_of(int error)
{
	return error == ECONNRESET || error == EPIPE ? "reset"
	       : error == ECONNREFUSED               ? "refused"
						     : strerrorname_np(error);
}

/* Send what may be sent.  Returns false when the connection is over. */
static bool send_some(struct place *p)
{
	static char buf[CHUNK];

	while (p->sent < p->total && load.now >= p->write_at) {
		uint32_t n = p->total - p->sent, room = p->kind->window - (p->sent - p->got);
		ssize_t r;

		if (p->kind->window < UINT32_MAX && p->sent > p->got)
			return true; /* a message is out */
		if (n > room)
			n = room;
		if (n > CHUNK)
			n = CHUNK;
		fill(p->id, p->sent, n, buf);
		r = send(p->fd, buf, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (r < 0 && errno == EAGAIN)
			return true;
		if (r < 0) {
			lose(p, word_of(errno));
			return false;
		}
		p->sent += (uint32_t)r;
		p->moved = load.now;
	}
	if (p->sent == p->total && !p->shut && p->kind->end == END_HALF) {
		shutdown(p->fd, SHUT_WR);
		p->shut = true;
	}
	return true;
}

static bool verify(const struct place *p, const char *buf, size_t n)
{
	static char wanted[CHUNK];

	fill(p->id, p->got, n, wanted);
	if (n <= p->sent - p->got && memcmp(buf, wanted, n) == 0)
		return true;
	for (size_t i = 0; i < n; i++) {
		uint64_t word = 0;

		if (p->got + i < p->sent && buf[i] == wanted[i])
			continue;
		i -= (p->got + i) % 8 <= i ? (p->got + i) % 8 : 0;
		memcpy(&word, buf + i, n - i < 8 ? n - i : 8);
		load_wrong("byte", p->id << 24, p->got + i, word);
		break;
	}
	return false;
}

/* What became of the connection with the bytes that came.  Returns false when it is over. */
static bool advance(struct place *p)
{
	if (p->kind->end == END_RESET && p->got >= p->reset_at) {
		reset(p);
		return false;
	}
	if (p->got == p->total && p->kind->end == END_CLOSE) {
		done(p);
		return false;
	}
	if (p->got == p->sent && p->kind->pause)
		p->write_at = load.now + (uint64_t)load_random(p->kind->pause) * MS;
	return true;
}

static bool receive(struct place *p)
{
	static char buf[CHUNK];
	ssize_t r = recv(p->fd, buf, p->kind->step ? p->kind->step : CHUNK, MSG_DONTWAIT);

	if (r < 0 && errno == EAGAIN)
		return true;
	if (r < 0) {
		lose(p, word_of(errno));
		return false;
	}
	if (r == 0) {
		if (p->shut && p->got == p->total)
			done(p);
		else
			lose(p, "eof");
		return false;
	}
	if (!verify(p, buf, (size_t)r))
		exit(1);
	p->got += (uint32_t)r;
	p->moved = load.now;
	load.bytes += (uint64_t)r;
	if (p->kind->step)
		p->read_at = load.now + 1;
	return advance(p);
}

/* Wait for what the connection wants next. */
static void wait_for_next(struct place *p)
{
	uint32_t events = 0;
	bool message_out = p->kind->window < UINT32_MAX && p->sent > p->got;

	if (p->sent < p->total && load.now >= p->write_at && !message_out)
		events |= EPOLLOUT;
	if (load.now >= p->read_at)
		events |= EPOLLIN;
	watch(p, events);
}

static void move(struct place *p)
{
	if (send_some(p))
		wait_for_next(p);
}

static void connected(struct place *p)
{
	p->state = OPEN;
	p->key = find_key(p->fd);
	move(p);
}

static void begin(struct place *p)
{
	static uint64_t counter;
	const struct kind *k = p->kind;
	int r, fd = socket(load.family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		load_die("socket");
	p->opened = load.now;
	r = connect(fd, (struct sockaddr *)&load.to, load.to_len);
	if (r < 0 && errno == EAGAIN) { /* a UNIX socket's backlog is full; the tick tries again */
		close(fd);
		return;
	}
	p->fd = fd;
	p->state = CONNECTING;
	n_open++;
	load.begun++;
	p->id = load.number << 32 | (++counter & 0xffffffff);
	p->total = k->min + load_random(k->max - k->min + 1);
	p->reset_at = load_random(p->total);
	p->key = 0;
	p->sent = p->got = 0;
	p->shut = false;
	p->moved = load.now;
	p->write_at = 0;
	p->read_at = k->late ? load.now + (uint64_t)load_random(k->late) * MS : 0;
	p->events = UINT32_MAX;
	if (r < 0 && errno != EINPROGRESS)
		lose(p, word_of(errno));
	else if (r == 0)
		connected(p);
	else
		watch(p, EPOLLOUT);
}

static void finish_connect(struct place *p)
{
	int error = 0;
	socklen_t len = sizeof(error);

	getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error) {
		p->key = find_key(p->fd);
		lose(p, word_of(error));
	} else {
		connected(p);
	}
}

static void stream_ready(void *at, uint32_t events)
{
	struct place *p = at;

	if (p->state == CONNECTING)
		finish_connect(p);
	else if (p->state == OPEN && (!(events & (EPOLLIN | EPOLLERR | EPOLLHUP)) || receive(p)))
		move(p);
	if (p->state == CLOSED && p->kind->rest == 0 && !load.stopping)
		begin(p);
}

/* Told to stop, a connection that takes its time says no more than it has said. */
static void hurry(struct place *p)
{
	if (p->kind->pause && p->sent > 0)
		p->total = p->sent;
	if (p->state == OPEN && p->got == p->total && p->kind->end == END_CLOSE)
		done(p);
}

static void stream_tick(void)
{
	for (unsigned i = 0; i < load.places; i++) {
		struct place *p = &places[i];

		if (p->state == CLOSED && !load.stopping && load.now >= p->write_at)
			begin(p);
		if (p->state != CLOSED && load.stopping)
			hurry(p);
		if (p->state == OPEN)
			move(p);
		if (p->state != CLOSED && load.now - p->moved > PATIENCE)
			lose(p, "stuck");
	}
}

static void stream_start(void)
{
	unsigned n = 0;

	places = calloc(load.places, sizeof(*places));
	if (!places)
		load_die("memory");
	for (unsigned share = 0; n < load.places; share = (share + 1) % 24)
		for (unsigned k = 0; k < N_KINDS && n < load.places; k++)
			if (share < kinds[k].places && !(load.one_by_one && kinds[k].pause))
				places[n++].kind = &kinds[k];
}

static void stream_reset_all(void)
{
	for (unsigned i = 0; i < load.places; i++)
		if (places[i].state == OPEN)
			reset(&places[i]);
}

static bool stream_idle(void)
{
	return n_open == 0;
}

const struct half streams = {stream_start, stream_ready, stream_tick, stream_reset_all,
			     stream_idle};
