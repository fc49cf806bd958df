/* SPDX-License-Identifier: ISC */
/* What one source may have of us.  The datagrams of a flood may be forged, and then the source
 * is its victim: it must not get more than the rate, and its own datagrams must have a chance
 * of being answered all the same.
 *
 * Of an empty bucket alone it would have none: whoever sends just a little faster than the rate
 * takes every token the moment it comes.  So an empty bucket may be overdrawn, which the flood
 * has to pay back out of what it would have had.
 *
 * One half of that is for ports that have had little, so that who asks from another port than
 * the flood does, which cannot know it, is answered.  In each half it is drawn by lot, and the
 * more is overdrawn the fewer win: then the bucket settles where as many win as there are
 * tokens, and a flood that names every port, or the very one, leaves its victim a share. */
#include "dgram_guard.h"

#include "breaker.h"
#include "conf.h"
#include "handshakes.h"
#include "limiter.h"
#include "log.h"
#include "peer.h"
#include "quotas.h"
#include "timer.h"
#include "worker.h"

#include <string.h>

enum {
	HALF = 32768, /* of what may be overdrawn, in 65536ths */
	SAMPLE = 32   /* bytes at the beginning and at the end that stand for a large payload */
};

void dgram_guard_init(struct dgram_guard *g, const struct worker *w)
{
	*g = (struct dgram_guard){.worker = w, .dice = timer_micros() | 1};
}

void dgram_guard_begin(struct dgram_guard *g)
{
	const struct service_conf *conf = g->worker->conf;

	if (conf->udp.rate > 0 || conf->udp.require_tcp_first)
		g->now = timer_micros();
	g->shook_hands = false; /* that may have changed */
}

/* Look at who asks, if it is another than before. */
static bool learn(struct dgram_guard *g, const struct address *from)
{
	const struct worker *w = g->worker;
	struct prefix host, source;

	if (!prefix_of(from, &host))
		return false;
	if (g->host.width > 0 && prefix_compare(&g->host, &host) == 0)
		return true;
	source = quotas_source(&w->conf->source_prefix, &host);
	g->host = host;
	g->source = quotas_hash(&w->quotas->key, &source);
	g->allowed = acl_says(&w->conf->access, &host);
	g->exempt = acl_says(&w->conf->exempted, &host);
	g->shook_hands = false;
	return true;
}

static bool shook_hands(struct dgram_guard *g)
{
	const struct source_prefix what = HANDSHAKES_SOURCE;
	const struct worker *w = g->worker;
	struct prefix source = quotas_source(&what, &g->host);

	if (!g->shook_hands)
		g->shook_hands = handshakes_have(w->handshakes,
						 quotas_hash(&w->quotas->key, &source),
						 g->now / 1000);
	return g->shook_hands;
}

/* Xorshift: all that anybody sees of it is who was answered. */
static uint64_t throw_dice(struct dgram_guard *g)
{
	g->dice ^= g->dice << 13;
	g->dice ^= g->dice >> 7;
	g->dice ^= g->dice << 17;
	return g->dice;
}

/* Has PORT of the host had little above the rate? */
static bool modest(const struct dgram_guard *g, uint16_t port)
{
	const struct quotas *quotas = g->worker->quotas;
	uint64_t who[2] = {g->source ^ g->host.lo, port};

	return limiter_take(quotas->ports, siphash(&quotas->key, who, sizeof(who)), g->now, 1) == 1;
}

static bool within_rate(struct dgram_guard *g, uint16_t port)
{
	const struct quotas *quotas = g->worker->quotas;
	uint16_t part;

	if (limiter_take(quotas->datagrams, g->source, g->now, 1) == 1)
		return true;
	part = (uint16_t)(throw_dice(g) % HALF + (modest(g, port) ? HALF : 0));
	return limiter_overdraw(quotas->datagrams, g->source, g->now, part);
}

/* Of all that is the same if the datagram comes again. */
static uint64_t fingerprint(const struct dgram_guard *g, uint16_t port, const char *data,
			    size_t size)
{
	char buf[2 * sizeof(uint64_t) + 2 * SAMPLE];
	uint64_t head[2] = {g->source ^ g->host.lo, (uint64_t)port << 32 | size};
	char *at = buf + sizeof(head);

	memcpy(buf, head, sizeof(head));
	if (size <= (size_t)2 * SAMPLE) {
		memcpy(at, data, size);
		at += size;
	} else {
		memcpy(at, data, SAMPLE);
		memcpy(at + SAMPLE, data + size - SAMPLE, SAMPLE);
		at += 2 * SAMPLE;
	}
	return siphash(&g->worker->quotas->key, buf, (size_t)(at - buf));
}

static bool loops(struct dgram_guard *g, const struct address *from, const char *data, size_t size)
{
	const struct worker *w = g->worker;
	uint64_t what = fingerprint(g, address_port(from), data, size);
	char text[ADDRESS_TEXT_MAX];

	switch (breaker_judge(w->quotas->breaker, what, g->now / 1000)) {
	case BREAKER_FINE:
		return false;
	case BREAKER_TRIPS:
		log_event(EVENT_REFUSED, F_TEXT(SERVICE, w->conf->name),
			  F_TEXT(PEER, peer_text(w, from, text)),
			  F_TEXT(REASON, counters[C_REFUSED_LOOP].name));
		return true;
	default:
		return true;
	}
}

enum counter dgram_guard_ask(struct dgram_guard *g, const struct address *from, const char *data,
			     size_t size)
{
	const struct worker *w = g->worker;

	if (!learn(g, from)) /* a UNIX socket has a mode instead */
		return C_DATAGRAMS_OUT;
	if (!g->allowed)
		return C_REFUSED_ACL;
	if (g->exempt)
		return C_DATAGRAMS_OUT;
	if (w->conf->udp.require_tcp_first && !shook_hands(g))
		return C_REFUSED_NO_TCP;
	if (!w->quotas->datagrams)
		return C_DATAGRAMS_OUT;
	if (!within_rate(g, address_port(from)))
		return C_REFUSED_RATE;
	return loops(g, from, data, size) ? C_REFUSED_LOOP : C_DATAGRAMS_OUT;
}
