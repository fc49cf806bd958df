/* SPDX-License-Identifier: ISC */
/* The life of one connection, the same in every engine.  What is counted, when it ends and
 * why is decided here, whoever made the system calls.
 *
 * Bytes are received into the executor's scratch buffer and sent from there at once; that
 * is all for a client that reads.  Only when the socket does not take everything does the
 * connection hold memory, until it is sent.
 *
 * Whoever ends a connection that the client has not ended sends FIN and then reads on
 * until the client's FIN ("lingering close"): to close(2) with bytes unread would send RST,
 * and a RST makes the peer's kernel throw away what it has not yet read (RFC 1122,
 * 4.2.2.13; RFC 2525, 2.17). */
#include "conn.h"

#include "acceptor.h"
#include "address.h"
#include "conf.h"
#include "executor.h"
#include "log.h"
#include "peer.h"
#include "report.h"
#include "respond.h"
#include "slots.h"
#include "worker.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	SMALL = 16384, /* bytes: what is copied rather than kept in its large buffer */
	DISCARDS = 16  /* reads of one step that throw away */
};

void conn_open(struct conn *c, const struct executor *ex, const struct client *client)
{
	*c = (struct conn){
		.fd = client->fd,
		.slot = client->slot,
		.since = ex->now,
		.active = ex->now,
		.reason = C_CLOSED_EOF,
		.header_due = ex->worker->conf->proxy_protocol == PROXY_REQUIRE,
	};
}

static void add(_Atomic uint64_t *sum, uint64_t n)
{
	uint64_t *p = (uint64_t *)sum;

	__atomic_store_n(p, __atomic_load_n(p, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

static struct slot *slot_of(const struct conn *c, const struct executor *ex)
{
	return &ex->worker->slots->slot[c->slot];
}

/* One record for a connection that is over, for those who asked for it. */
static void record(const struct conn *c, const struct executor *ex)
{
	const struct slot *slot = slot_of(c, ex);
	struct address peer;
	char text[ADDRESS_TEXT_MAX];

	slot_peer(slot, &peer);
	log_event(EVENT_CONNECTION, F_TEXT(SERVICE, ex->worker->conf->name),
		  F_TEXT(PEER, peer_text(ex->worker, &peer, text)),
		  F_TEXT(REASON, counters[c->reason].name + strlen("closed_")),
		  F_NUMBER(BYTES_IN, slot->bytes_in), F_NUMBER(BYTES_OUT, slot->bytes_out),
		  F_NUMBER(DURATION_USEC, (ex->now - c->since) * 1000));
}

enum conn_want conn_close(struct conn *c, struct executor *ex, enum counter reason)
{
	c->reason = (uint8_t)reason;
	if (ex->worker->log->connections)
		record(c, ex);
	free(c->held);
	c->held = NULL;
	free(c->header);
	c->header = NULL;
	executor_close(ex, c->fd);
	c->fd = -1;
	stats_add(ex->stats, reason, 1);
	slots_release(ex->worker->slots, c->slot);
	return CONN_CLOSED;
}

enum conn_want conn_reset(struct conn *c, struct executor *ex, enum counter reason)
{
	struct linger now = {.l_onoff = 1, .l_linger = 0};

	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	return conn_close(c, ex, reason);
}

/* The socket failed with ERROR: was it the peer, the network, or this host? */
static enum conn_want fail(struct conn *c, struct executor *ex, int error)
{
	switch (error) {
	case ECONNRESET:
	case EPIPE:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case ENETDOWN:
	case ECONNABORTED:
	case ENOTCONN:
		return conn_close(c, ex, C_CLOSED_RESET);
	case ETIMEDOUT: /* of TCP_USER_TIMEOUT, write_timeout in the kernel; or of keepalives */
		return conn_close(c, ex, C_CLOSED_WRITE_TIMEOUT);
	case EBADMSG: /* our own: conn_proxy_take() */
		return conn_close(c, ex, c->reason);
	default:
		return conn_close(c, ex, C_CLOSED_ERROR);
	}
}

int conn_hold(struct conn *c, const char *p, uint32_t n)
{
	uint32_t before = c->held ? c->echo.pending - n : 0;
	char *all;

	assert(c->sent == 0 && !c->whole && before + n == c->echo.pending);
	all = realloc(c->held, c->echo.pending);
	if (!all)
		return -ENOMEM;
	memcpy(all + before, p, n);
	c->held = all;
	return 0;
}

/* Hold the pending bytes, at P.  A few are copied, so that a slow reader of little costs
 * little; for many the scratch buffer itself changes hands, since to copy them would cost as
 * much as to echo them.  Returns 0 or -ENOMEM. */
static int hold(struct conn *c, struct executor *ex, char *p)
{
	if (c->echo.pending <= SMALL || p < ex->scratch ||
	    p >= ex->scratch + ex->worker->conf->buffer)
		return conn_hold(c, p, c->echo.pending);
	c->held = ex->scratch;
	c->sent = (uint32_t)(p - c->held);
	c->whole = true;
	ex->scratch = NULL;
	return 0;
}

/* All that was held is sent: the memory is free for the next who receives. */
static void let_go(struct conn *c, struct executor *ex)
{
	if (!ex->scratch && c->whole)
		ex->scratch = c->held;
	else
		free(c->held);
	c->held = NULL;
	c->sent = 0;
	c->whole = false;
}

/* The service's answer, once, if it has one of its own: it is held, and nothing more is read.
 * Returns 0 or -ENOMEM. */
static int answer(struct conn *c, struct executor *ex)
{
	const struct responder *r = &responders[ex->worker->conf->respond];
	struct asked_stream asked = {.executor = ex,
				     .proxy = c->header ? &c->header->header : NULL,
				     .fd = c->fd};
	char text[REPORT_MAX];
	uint32_t n;

	if (!r->stream || c->echo.ended)
		return 0;
	n = r->stream(&asked, text);
	echo_received(&c->echo, n);
	echo_end(&c->echo);
	return conn_hold(c, text, n);
}

int conn_received(struct conn *c, struct executor *ex, char **p, uint32_t *n)
{
	c->active = ex->now;
	if (c->header_due) {
		int r = conn_proxy_take(c, ex, p, n);

		if (r < 0 || *n == 0)
			return r;
	}
	stats_add(ex->stats, C_BYTES_IN, *n);
	add(&slot_of(c, ex)->bytes_in, *n);
	if (ex->worker->conf->respond == RESPOND_ECHO) {
		echo_received(&c->echo, *n);
		return 0;
	}
	*n = 0;
	if (responders[ex->worker->conf->respond].stream)
		c->reason = C_CLOSED_ANSWERED;
	return answer(c, ex);
}

void conn_received_fin(struct conn *c, struct executor *ex)
{
	c->active = ex->now;
	if (c->header_due)
		conn_proxy_fin(c, ex);
	else if (answer(c, ex) < 0) {
		echo_sent(&c->echo, c->echo.pending);
		c->reason = C_CLOSED_ERROR;
	}
	echo_end(&c->echo);
}

void conn_sent(struct conn *c, struct executor *ex, uint32_t n)
{
	echo_sent(&c->echo, n);
	c->active = ex->now;
	stats_add(ex->stats, C_BYTES_OUT, n);
	if (c->echo.pending == 0)
		stats_add(ex->stats, responders[ex->worker->conf->respond].answered, 1);
	add(&slot_of(c, ex)->bytes_out, n);
}

/* Send pending bytes from P.  Returns how many were sent, or -errno if the connection
 * failed. */
static ssize_t send_some(struct conn *c, struct executor *ex, const char *p)
{
	ssize_t n = send(c->fd, p, c->echo.pending, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	conn_sent(c, ex, (uint32_t)n);
	return n;
}

/* Where to receive, and into how much of it.  The executor of one client, a thread's, needs no
 * memory but its own as long as that one says little.  When the scratch buffer has gone to a
 * slow reader and there is no memory for another, the spare one has to do, too: that costs nobody
 * but those who do not read. */
static char *room(struct executor *ex, size_t *size)
{
	*size = ex->worker->conf->buffer;
	if (!ex->scratch && ex->wide)
		ex->scratch = malloc(*size);
	if (ex->scratch)
		return ex->scratch;
	if (*size > sizeof(ex->spare))
		*size = sizeof(ex->spare);
	return ex->spare;
}

/* Receive once and send from there.  Returns 0, or -errno if the connection failed. */
static int receive_and_send(struct conn *c, struct executor *ex)
{
	size_t size;
	char *p = room(ex, &size);
	uint32_t out;
	ssize_t n;
	int r;

	n = recv(c->fd, p, size, MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0) {
		conn_received_fin(c, ex);
		return 0;
	}
	if ((size_t)n == sizeof(ex->spare))
		ex->wide = true;
	out = (uint32_t)n;
	r = conn_received(c, ex, &p, &out);
	if (r < 0 || out == 0)
		return r;
	n = send_some(c, ex, p);
	if (n < 0)
		return (int)n;
	return c->echo.pending > 0 ? hold(c, ex, p + n) : 0;
}

/* Send what is held.  Returns 0, or -errno if the connection failed. */
static int send_held(struct conn *c, struct executor *ex)
{
	ssize_t n = send_some(c, ex, c->held + c->sent);

	if (n < 0)
		return (int)n;
	c->sent += (uint32_t)n;
	if (c->echo.pending == 0)
		let_go(c, ex);
	return 0;
}

/* Everything is sent and no more will be read.  The client's FIN came: nothing can be
 * unread, so close(2) sends ours.  It did not: ask for it. */
static enum conn_want finish(struct conn *c, struct executor *ex)
{
	if (c->reason == C_CLOSED_EOF)
		return conn_close(c, ex, C_CLOSED_EOF);
	if (shutdown(c->fd, SHUT_WR) < 0)
		return conn_close(c, ex, c->reason);
	c->lingering = true;
	c->active = ex->now;
	c->unacked = UINT32_MAX;
	return CONN_READ;
}

/* Our FIN is out: throw away what still comes. */
static enum conn_want discard(struct conn *c, struct executor *ex)
{
	char waste[4096];
	ssize_t n = 0;

	for (int i = 0; i < DISCARDS; i++) {
		n = recv(c->fd, waste, sizeof(waste), MSG_DONTWAIT);
		if (n <= 0)
			break;
	}
	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return CONN_READ;
	return conn_close(c, ex, c->reason);
}

enum conn_want conn_next(struct conn *c, struct executor *ex, int error)
{
	if (error < 0)
		return fail(c, ex, -error);
	switch (echo_wants(&c->echo)) {
	case ECHO_READ:
		return CONN_READ;
	case ECHO_WRITE:
		return CONN_WRITE;
	default:
		return finish(c, ex);
	}
}

enum conn_want conn_end(struct conn *c, struct executor *ex, enum counter reason)
{
	c->reason = (uint8_t)reason;
	c->active = ex->now;
	echo_end(&c->echo);
	return c->echo.pending > 0 ? CONN_WRITE : finish(c, ex);
}

enum conn_want conn_step(struct conn *c, struct executor *ex)
{
	if (c->lingering)
		return discard(c, ex);
	return conn_next(c, ex, c->echo.pending > 0 ? send_held(c, ex) : receive_and_send(c, ex));
}
