/* SPDX-License-Identifier: ISC */
/* The two questions that every check of a path asks: does this datagram come back, and does
 * this message on a stream? */
#include "path.h"

#include "moment.h"
#include "reply.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>

void path_say(struct verdict *v, enum path_state state, const char *fmt, ...)
{
	va_list ap;

	v->state = state;
	va_start(ap, fmt);
	vsnprintf(v->why, sizeof(v->why), fmt, ap);
	va_end(ap);
}

struct sock_conf path_stream_conf(const struct path *p)
{
	struct sock_conf conf = p->conf->sock;

	if (!protocols[conf.protocol].stream)
		conf.protocol = PROTO_TCP;
	return conf;
}

struct sock_conf path_dgram_conf(const struct path *p)
{
	struct sock_conf conf = p->conf->sock;

	conf.protocol = PROTO_UDP;
	conf.report_errors = true;
	return conf;
}

int64_t path_wait(const struct path *p)
{
	int64_t wait = 4 * p->rtt + 150 * (int64_t)MOMENT_MS;

	return wait < p->conf->timeout ? wait : p->conf->timeout;
}

/* Bytes that differ from those of other datagrams. */
static void fill(char *data, size_t size, uint32_t seed)
{
	for (size_t i = 0; i < size; i++) {
		seed = seed * 1664525 + 1013904223;
		data[i] = (char)(seed >> 24);
	}
}

/* Is it the answer to DATA, and in what state? */
static enum path_answer judge(const char *got, const struct reply *r, const char *data, size_t size,
			      const struct address *to)
{
	if (!address_equal(&r->from, to))
		return PATH_WRONG;
	if (r->size == size && memcmp(got, data, size) == 0)
		return PATH_WHOLE;
	if (r->size < size && memcmp(got, data, r->size) == 0)
		return PATH_CUT;
	return PATH_WRONG;
}

static void take_error(const struct reply *r, struct path_try *out)
{
	out->error = r->error;
	out->answer = r->error == -EMSGSIZE ? PATH_TOO_BIG : PATH_ERROR;
	out->mtu = r->mtu;
	out->local = r->from.len == 0;
	reply_complaint(r, out->complaint, sizeof(out->complaint));
}

/* A datagram that is sent up to MAX_TRIES times.  Each try has a first byte of its own: the
 * answer to one that was given up shall not count as a quick one to the next. */
enum { MAX_TRIES = 3 };

struct question {
	const struct address *to;
	char data[REPLY_MAX];
	size_t size;
	int tries;               /* so far */
	int64_t sent[MAX_TRIES]; /* when, ns */
};

/* Move the first byte from that of one try to that of another. */
static void mark(struct question *q, int by)
{
	q->data[0] = (char)(q->data[0] + by);
}

/* What an answer is worth, which may be one to any of the tries. */
static void take_answer(const char *got, const struct reply *r, struct question *q,
			struct path_try *out)
{
	int i = q->tries;

	out->got = r->size;
	do {
		i--;
		out->answer = judge(got, r, q->data, q->size, q->to);
		out->rtt = r->when - q->sent[i];
		mark(q, -1);
	} while (out->answer == PATH_WRONG && i > 0);
	mark(q, q->tries - i);
}

/* Send once, wait once. */
static void attempt(struct path *p, int fd, struct question *q, int64_t wait, struct path_try *out)
{
	int64_t before = moment_now();
	struct reply r;
	int sent;

	mark(q, 1);
	q->sent[q->tries++] = before;
	sent = reply_send(fd, q->data, q->size, q->to);
	out->answer = PATH_SILENT;
	/* ENOBUFS: dropped on this host's side of the wire, without an ICMP. */
	if (sent < 0 && sent != -ENOBUFS)
		take_error(&(struct reply){.error = sent, .complaint = "this host"}, out);
	while (reply_wait(fd, p->in, &r, sent < 0 ? before : before + wait) == 1) {
		if (r.error != 0) {
			take_error(&r, out);
			return;
		}
		take_answer(p->in, &r, q, out);
		if (out->answer == PATH_WHOLE || out->answer == PATH_CUT)
			return;
		/* It may be late for an earlier question: the right one may still come. */
	}
}

void path_datagram(struct path *p, int fd, const struct address *to, size_t size, int tries,
		   int64_t wait, struct path_try *out)
{
	static uint32_t seed = 1;
	struct question q = {.to = to, .size = size};

	*out = (struct path_try){.answer = PATH_SILENT};
	fill(q.data, size, seed++);
	while (q.tries < tries && out->answer == PATH_SILENT)
		attempt(p, fd, &q, wait, out);
}

int64_t path_message(int fd, size_t size, int64_t timeout)
{
	int64_t before = moment_now();
	char data[64], in[64];
	size_t got = 0;

	fill(data, size, (uint32_t)before);
	if (send(fd, data, size, MSG_NOSIGNAL) != (ssize_t)size)
		return -errno;
	while (got < size) {
		int r = moment_poll(fd, POLLIN, before + timeout);
		ssize_t n;

		if (r <= 0)
			return r == 0 ? -ETIMEDOUT : r;
		n = recv(fd, in + got, size - got, 0);
		if (n <= 0)
			return n == 0 ? -EPIPE : -errno;
		got += (size_t)n;
	}
	return memcmp(data, in, size) == 0 ? moment_now() - before : -EBADMSG;
}
