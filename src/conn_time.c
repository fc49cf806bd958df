/* SPDX-License-Identifier: ISC */
/* The deadlines of a connection: timeouts, lingering, draining.
 *
 * A deadline is computed when it is looked for and not kept, so that activity costs nothing
 * but the note of when it was. */
#include "conn.h"

#include "conf.h"
#include "executor.h"
#include "slots.h"
#include "worker.h"

#include <linux/sockios.h>
#include <sys/ioctl.h>

enum {
	DRAIN_QUIET = 100,  /* ms without a byte after which a draining connection ends */
	DRAIN_GRACE = 1000, /* ms of draining after which a moment without a byte is enough: a
			     * client that never pauses must not keep the next echod waiting */
	LINGER = 1000,      /* ms to wait for the client's FIN, as long as nothing moves */
	HEADER_WAIT = 3000, /* ms from the accept for a PROXY header to be complete */
	STALLED = 60000,    /* ms to wait for a reader that has no write_timeout */
	LOOK = 1000         /* ms, at least, between looks whether a deadline has come nearer */
};

static uint32_t write_timeout(const struct executor *ex)
{
	uint32_t timeout = ex->worker->conf->write_timeout;

	return timeout ? timeout : STALLED;
}

/* A deadline. */
struct due {
	uint64_t when;       /* ms; UINT64_MAX: never */
	uint64_t look;       /* ms: when to see whether it is nearer now */
	enum counter reason; /* what its passing means */
};

/* TIMEOUT since FROM may be the deadline that counts.  While the service fills up it is
 * shorter, down to a tenth: who looks every tenth does not miss that by much. */
static void consider(struct due *d, const struct executor *ex, uint64_t from, uint32_t timeout,
		     enum counter reason)
{
	uint64_t when = from + slots_patience(ex->worker->slots, timeout);
	uint64_t look = ex->now + (timeout / 10 > LOOK ? timeout / 10 : LOOK);

	if (look < d->look)
		d->look = look;
	if (when < d->when) {
		d->when = when;
		d->reason = reason;
	}
}

/* Has a reload told that this client is not allowed any more? */
static bool barred(const struct conn *c, const struct executor *ex)
{
	return ex->draining && ex->worker->slots->slot[c->slot].barred;
}

/* The deadline that counts. */
static struct due due(const struct conn *c, const struct executor *ex)
{
	const struct service_conf *conf = ex->worker->conf;
	struct due d = {.when = UINT64_MAX, .look = UINT64_MAX, .reason = c->reason};
	uint64_t quiet;

	if (barred(c, ex)) {
		d.when = 0;
		d.reason = C_CLOSED_REFUSED;
		return d;
	}
	if (c->lingering) {
		d.when = c->active + LINGER;
		return d;
	}
	if (c->echo.pending > 0 && (conf->write_timeout > 0 || c->echo.ended))
		consider(&d, ex, c->active, write_timeout(ex), C_CLOSED_WRITE_TIMEOUT);
	else if (conf->idle_timeout > 0)
		consider(&d, ex, c->active, conf->idle_timeout, C_CLOSED_IDLE);
	if (conf->lifetime > 0 && !c->echo.ended)
		consider(&d, ex, c->since, conf->lifetime, C_CLOSED_LIFETIME);
	if (c->header_due)
		consider(&d, ex, c->since, HEADER_WAIT, C_CLOSED_PROXY_TIMEOUT);
	if (ex->draining && c->echo.pending == 0) {
		quiet = (c->active > ex->drain_since ? c->active : ex->drain_since) + DRAIN_QUIET;
		if (quiet > ex->drain_since + DRAIN_GRACE)
			quiet = ex->drain_since + DRAIN_GRACE;
		if (quiet < d.when) {
			d.when = quiet;
			d.reason = C_CLOSED_DRAIN;
		}
	}
	return d;
}

uint64_t conn_deadline(const struct conn *c, const struct executor *ex)
{
	struct due d = due(c, ex);

	return d.when < d.look ? d.when : d.look;
}

/* Lingering for LINGER without the client's FIN.  While the client has yet to take what was
 * sent to it, to close would risk the rest: stay, unless it is stalled.  What was sent over a UNIX
 * socket is there already, though SIOCOUTQ counts it until it is read. */
static enum conn_want linger_on(struct conn *c, struct executor *ex)
{
	uint32_t patience = slots_patience(ex->worker->slots, write_timeout(ex));
	int unacked = 0;

	/* Our FIN counts as one: that may be lost. */
	if (protocols[ex->worker->conf->protocol].local || ioctl(c->fd, SIOCOUTQ, &unacked) < 0 ||
	    unacked <= 1)
		return conn_close(c, ex, c->reason);
	c->stalls = (uint32_t)unacked < c->unacked ? 0 : (uint16_t)(c->stalls + 1);
	if (c->stalls * (uint32_t)LINGER >= patience || c->stalls == UINT16_MAX)
		return conn_reset(c, ex, c->reason);
	c->unacked = (uint32_t)unacked;
	c->active = ex->now;
	return CONN_READ;
}

/* Is there more to come?  There may be after a byte that has just moved; from the grace of a
 * drain on only what has come already. */
static bool still_talks(const struct conn *c, const struct executor *ex, uint64_t was_active)
{
	int unread = 0;

	if (!ex->draining || ex->now < ex->drain_since + DRAIN_GRACE)
		return c->active != was_active;
	return ioctl(c->fd, SIOCINQ, &unread) == 0 && unread > 0;
}

/* The last look at a connection whose header did not come in time. */
static enum conn_want header_late(struct conn *c, struct executor *ex)
{
	enum conn_want want = conn_step(c, ex);

	if (want == CONN_CLOSED || !c->header_due || c->lingering)
		return want;
	conn_proxy_refused(c, ex, "no header in time");
	return conn_close(c, ex, C_CLOSED_PROXY_TIMEOUT);
}

enum conn_want conn_expire(struct conn *c, struct executor *ex)
{
	uint64_t active = c->active;
	struct due d = due(c, ex);
	enum counter reason = d.reason;

	if (ex->now < d.when)
		return c->echo.pending > 0 ? CONN_WRITE : CONN_READ;
	if (reason == C_CLOSED_REFUSED && barred(c, ex))
		return conn_close(c, ex, reason);
	if (c->lingering)
		return linger_on(c, ex);
	if (reason == C_CLOSED_WRITE_TIMEOUT)
		return conn_reset(c, ex, reason);
	if (reason == C_CLOSED_PROXY_TIMEOUT)
		return header_late(c, ex);
	/* Bytes that had no turn yet, because we had none, are no silence of the client. */
	if (c->echo.pending == 0 && reason != C_CLOSED_LIFETIME) {
		enum conn_want want = conn_step(c, ex);

		if (want != CONN_READ || still_talks(c, ex, active))
			return want;
	}
	return conn_end(c, ex, reason);
}
