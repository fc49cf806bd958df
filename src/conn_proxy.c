/* SPDX-License-Identifier: ISC */
/* The header of the PROXY protocol at the beginning of a connection: taken off what is
 * received, whatever the pieces are.  Mostly it comes whole, and then nothing is kept; a part
 * of one is kept until the rest is there. */
#include "conn.h"

#include "admission.h"
#include "conf.h"
#include "executor.h"
#include "log.h"
#include "peer.h"
#include "slots.h"
#include "worker.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static struct slot *slot_of(const struct conn *c, const struct executor *ex)
{
	return &ex->worker->slots->slot[c->slot];
}

void conn_proxy_refused(const struct conn *c, const struct executor *ex, const char *why)
{
	char text[ADDRESS_TEXT_MAX];
	struct address peer;

	slot_peer(slot_of(c, ex), &peer);
	log_event(EVENT_PROXY_REFUSED, F_TEXT(SERVICE, ex->worker->conf->name),
		  F_TEXT(PEER, peer_text(ex->worker, &peer, text)), F_TEXT(WHAT, why));
}

static int refuse(struct conn *c, const struct executor *ex, const char *why)
{
	conn_proxy_refused(c, ex, why);
	c->reason = C_CLOSED_PROXY_MALFORMED;
	return -EBADMSG;
}

/* Keep the N bytes at P, which are not all of a header, behind those that are kept.  They fit:
 * of PROXY_MAX bytes none is missing. */
static int keep(struct conn *c, const char *p, uint32_t n)
{
	if (!c->header) {
		c->header = malloc(sizeof(*c->header));
		if (!c->header)
			return -ENOMEM;
		c->header->n = 0;
	}
	assert(n <= sizeof(c->header->bytes) - c->header->n);
	memcpy(c->header->bytes + c->header->n, p, n);
	c->header->n += n;
	return 0;
}

/* The header is complete: from now on the client is whom it names.  Where it names nobody, or
 * a UNIX socket of the proxy's host, it stays the proxy. */
static int done(struct conn *c, struct executor *ex, const struct proxy_header *h)
{
	bool is_ip = h->source.len && h->source.sa.sa_family != AF_UNIX;

	c->header_due = false;
	free(c->header);
	c->header = NULL;
	if (is_ip) {
		slot_set_peer(slot_of(c, ex), &h->source);
		slot_of(c, ex)->proxy = false;
		if (!admission_grant(ex, &h->source, c->slot)) {
			c->reason = C_CLOSED_REFUSED;
			return -EBADMSG;
		}
	}
	if (ex->worker->conf->respond != RESPOND_REPORT)
		return 0;
	c->header = malloc(sizeof(*c->header));
	if (!c->header)
		return -ENOMEM;
	c->header->header = *h;
	return 0;
}

int conn_proxy_take(struct conn *c, struct executor *ex, char **p, uint32_t *n)
{
	char joined[PROXY_MAX];
	uint32_t kept = c->header ? c->header->n : 0;
	uint32_t more = *n < PROXY_MAX - kept ? *n : PROXY_MAX - kept;
	struct proxy_header h;
	int r;

	if (kept > 0)
		memcpy(joined, c->header->bytes, kept);
	memcpy(joined + kept, *p, more);
	r = proxy_parse(joined, kept + more, &h);
	if (r < 0)
		return refuse(c, ex, proxy_faults[-r]);
	if (r == 0) {
		r = keep(c, *p, *n);
		*n = 0;
		return r;
	}
	assert((uint32_t)r > kept);
	*p += (uint32_t)r - kept;
	*n -= (uint32_t)r - kept;
	return done(c, ex, &h);
}

void conn_proxy_fin(struct conn *c, const struct executor *ex)
{
	if (c->header)
		refuse(c, ex, "the connection ended within its header");
}
