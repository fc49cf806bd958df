/* SPDX-License-Identifier: ISC */
/* The life of one connection, the same in every engine.
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
#include "slots.h"
#include "worker.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	DRAIN_QUIET = 100,  /* ms without a byte after which a draining connection ends */
	DRAIN_GRACE = 1000, /* ms of draining after which a moment without a byte is enough: a
			     * client that never pauses must not keep the next echod waiting */
	LINGER = 1000,      /* ms to wait for the client's FIN, as long as nothing moves */
	STALLED = 60000,    /* ms to wait for a reader that has no write_timeout */
	SMALL = 16384,      /* bytes: what is copied rather than kept in its large buffer */
	DISCARDS = 16       /* reads of one step that throw away */
};

void conn_open(struct conn *c, const struct executor *ex, const struct client *client)
{
	*c = (struct conn){
		.fd = client->fd,
		.slot = client->slot,
		.since = ex->now,
		.active = ex->now,
		.reason = C_CLOSED_EOF,
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
	enum log_client how = ex->worker->log->client;
	struct address peer;
	char text[ADDRESS_TEXT_MAX];

	slot_peer(slot, &peer);
	if (how == LOG_CLIENT_FULL)
		address_format(&peer, text);
	else
		address_format_network(&peer, text);
	log_event(EVENT_CONNECTION, F_TEXT(SERVICE, ex->worker->conf->name),
		  F_TEXT(PEER, how == LOG_CLIENT_NONE ? NULL : text),
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
	executor_close(ex, c->fd);
	c->fd = -1;
	stats_add(ex->stats, reason, 1);
	slots_release(ex->worker->slots, c->slot);
	return CONN_CLOSED;
}

/* Close so that the kernel forgets at once what it holds for a client that takes nothing. */
static enum conn_want reset(struct conn *c, struct executor *ex, enum counter reason)
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
	case ETIMEDOUT:
	case EHOSTUNREACH:
	case ENETUNREACH:
	case ENETDOWN:
	case ECONNABORTED:
	case ENOTCONN:
		return conn_close(c, ex, C_CLOSED_RESET);
	default:
		return conn_close(c, ex, C_CLOSED_ERROR);
	}
}

/* Keep the N unsent bytes at P, which lie in the scratch buffer.  A few are copied, so that
 * a slow reader of little costs little; for many the buffer itself changes hands, since to
 * copy them would cost as much as to echo them.  Returns false for lack of memory. */
static bool hold(struct conn *c, struct executor *ex, char *p, uint32_t n)
{
	if (n > SMALL) {
		c->held = ex->scratch;
		c->sent = (uint32_t)(p - c->held);
		ex->scratch = NULL;
		return true;
	}
	c->held = malloc(n);
	if (!c->held)
		return false;
	memcpy(c->held, p, n);
	c->sent = 0;
	return true;
}

/* All that was held is sent: the memory is free for the next who receives. */
static void let_go(struct conn *c, struct executor *ex)
{
	if (!ex->scratch && c->sent > SMALL)
		ex->scratch = c->held;
	else
		free(c->held);
	c->held = NULL;
}

/* Send pending bytes from P.  Returns how many were sent, or -errno if the connection
 * failed. */
static ssize_t send_some(struct conn *c, struct executor *ex, const char *p)
{
	ssize_t n = send(c->fd, p, c->echo.pending, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	echo_sent(&c->echo, (uint32_t)n);
	c->active = ex->now;
	stats_add(ex->stats, C_BYTES_OUT, (uint64_t)n);
	if (c->echo.pending == 0)
		stats_add(ex->stats, C_ECHOES, 1);
	add(&slot_of(c, ex)->bytes_out, (uint64_t)n);
	return n;
}

/* Receive once into the scratch buffer and send from it.  Returns 0, or -errno if the
 * connection failed. */
static int receive_and_send(struct conn *c, struct executor *ex)
{
	size_t size = ex->worker->conf->buffer;
	ssize_t n;

	if (!ex->scratch && !(ex->scratch = malloc(size)))
		return -ENOMEM;
	n = recv(c->fd, ex->scratch, size, MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	echo_received(&c->echo, (uint32_t)n);
	c->active = ex->now;
	if (n == 0)
		return 0;
	stats_add(ex->stats, C_BYTES_IN, (uint64_t)n);
	add(&slot_of(c, ex)->bytes_in, (uint64_t)n);
	n = send_some(c, ex, ex->scratch);
	if (n < 0)
		return (int)n;
	if (c->echo.pending > 0 && !hold(c, ex, ex->scratch + n, c->echo.pending))
		return -ENOMEM;
	return 0;
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

enum conn_want conn_step(struct conn *c, struct executor *ex)
{
	int error;

	if (c->lingering)
		return discard(c, ex);
	if (c->echo.pending > 0)
		error = send_held(c, ex);
	else
		error = receive_and_send(c, ex);
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

/* The deadline that counts, and in *REASON what its passing means. */
static uint64_t due(const struct conn *c, const struct executor *ex, enum counter *reason)
{
	const struct service_conf *conf = ex->worker->conf;
	uint64_t when = UINT64_MAX, quiet;

	*reason = c->reason;
	if (c->lingering)
		return c->active + LINGER;
	if (c->echo.pending > 0 && (conf->write_timeout > 0 || c->echo.ended)) {
		when = c->active + (conf->write_timeout ? conf->write_timeout : STALLED);
		*reason = C_CLOSED_WRITE_TIMEOUT;
	} else if (conf->idle_timeout > 0) {
		when = c->active + conf->idle_timeout;
		*reason = C_CLOSED_IDLE;
	}
	if (conf->lifetime > 0 && !c->echo.ended && c->since + conf->lifetime < when) {
		when = c->since + conf->lifetime;
		*reason = C_CLOSED_LIFETIME;
	}
	if (ex->draining && c->echo.pending == 0) {
		quiet = (c->active > ex->drain_since ? c->active : ex->drain_since) + DRAIN_QUIET;
		if (quiet > ex->drain_since + DRAIN_GRACE)
			quiet = ex->drain_since + DRAIN_GRACE;
		if (quiet < when) {
			when = quiet;
			*reason = C_CLOSED_DRAIN;
		}
	}
	return when;
}

uint64_t conn_deadline(const struct conn *c, const struct executor *ex)
{
	enum counter reason;

	return due(c, ex, &reason);
}

/* Lingering for LINGER without the client's FIN.  While the client has yet to take what was
 * sent to it, to close would risk the rest: stay, unless it is stalled. */
static enum conn_want linger_on(struct conn *c, struct executor *ex)
{
	uint32_t patience = ex->worker->conf->write_timeout;
	int unacked = 0;

	if (ioctl(c->fd, SIOCOUTQ, &unacked) < 0 || unacked <= 0)
		return conn_close(c, ex, c->reason);
	c->stalls = (uint32_t)unacked < c->unacked ? 0 : (uint16_t)(c->stalls + 1);
	if (c->stalls * (uint32_t)LINGER >= (patience ? patience : (uint32_t)STALLED))
		return reset(c, ex, c->reason);
	c->unacked = (uint32_t)unacked;
	c->active = ex->now;
	return CONN_READ;
}

/* Has a byte just moved, such that a drain should wait for what comes after it? */
static bool still_talks(const struct conn *c, const struct executor *ex, uint64_t was_active)
{
	int unread = 0;

	if (c->active == was_active)
		return false;
	if (!ex->draining || ex->now < ex->drain_since + DRAIN_GRACE)
		return true;
	return ioctl(c->fd, SIOCINQ, &unread) == 0 && unread > 0;
}

enum conn_want conn_expire(struct conn *c, struct executor *ex)
{
	uint64_t active = c->active;
	enum counter reason;

	if (ex->now < due(c, ex, &reason))
		return c->echo.pending > 0 ? CONN_WRITE : CONN_READ;
	if (c->lingering)
		return linger_on(c, ex);
	if (reason == C_CLOSED_WRITE_TIMEOUT)
		return reset(c, ex, reason);
	/* Bytes that had no turn yet, because we had none, are no silence of the client. */
	if (c->echo.pending == 0 && reason != C_CLOSED_LIFETIME) {
		enum conn_want want = conn_step(c, ex);

		if (want != CONN_READ || still_talks(c, ex, active))
			return want;
	}
	c->reason = (uint8_t)reason;
	c->active = ex->now;
	echo_end(&c->echo);
	return c->echo.pending > 0 ? CONN_WRITE : finish(c, ex);
}
