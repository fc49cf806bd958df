/* SPDX-License-Identifier: ISC */
/* Who is let in.  What is refused is refused for its source alone: nobody else's tokens or
 * places are touched. */
#include "admission.h"

#include "address.h"
#include "conf.h"
#include "executor.h"
#include "handshakes.h"
#include "limiter.h"
#include "log.h"
#include "peer.h"
#include "quotas.h"
#include "slots.h"
#include "sources.h"
#include "stats.h"
#include "timer.h"
#include "worker.h"

/* The counter of what forbids HOST, or C_CONNECTIONS_ACCEPTED if nothing does. */
static enum counter judge(const struct worker *w, const struct prefix *host, uint32_t slot)
{
	const struct service_conf *conf = w->conf;
	const struct quotas *l = w->quotas;
	struct prefix source;
	uint64_t hash;

	if (!acl_says(&conf->access, host))
		return C_REJECTED_ACL;
	if ((!l->connections && !l->sources) || acl_says(&conf->exempted, host))
		return C_CONNECTIONS_ACCEPTED;
	source = quotas_source(&conf->source_prefix, host);
	hash = quotas_hash(&l->key, &source);
	if (l->connections && limiter_take(l->connections, hash, timer_micros(), 1) == 0)
		return C_REJECTED_RATE;
	if (l->sources && sources_enter(l->sources, hash, conf->max_clients_per_source,
					&w->slots->slot[slot].source) < 0)
		return C_REJECTED_SOURCE;
	return C_CONNECTIONS_ACCEPTED;
}

bool admission_grant(struct executor *ex, const struct address *peer, uint32_t slot)
{
	const struct worker *w = ex->worker;
	char text[ADDRESS_TEXT_MAX];
	struct prefix host;
	enum counter verdict;

	if (!prefix_of(peer, &host)) /* a UNIX socket has a mode instead */
		return true;
	verdict = judge(w, &host, slot);
	if (verdict == C_CONNECTIONS_ACCEPTED)
		return true;
	stats_add(ex->stats, verdict, 1);
	log_event(EVENT_REFUSED, F_TEXT(SERVICE, w->conf->name),
		  F_TEXT(PEER, peer_text(w, peer, text)), F_TEXT(REASON, counters[verdict].name));
	return false;
}

/* Was the handshake of TCP with PEER itself: remember it, for udp.require_tcp_first. */
static void note_handshake(const struct executor *ex, const struct address *peer)
{
	const struct source_prefix what = HANDSHAKES_SOURCE;
	const struct worker *w = ex->worker;
	struct prefix host, source;

	if (!prefix_of(peer, &host))
		return;
	source = quotas_source(&what, &host);
	handshakes_add(w->handshakes, quotas_hash(&w->quotas->key, &source), ex->now);
}

/* May PEER say whose its connection is?  Who reaches a UNIX socket may. */
static bool is_trusted(const struct worker *w, const struct address *peer)
{
	struct prefix host;

	return protocols[w->conf->protocol].local ||
	       (prefix_of(peer, &host) && acl_says(&w->conf->trusted, &host));
}

bool admission_open(struct executor *ex, const struct address *peer, uint32_t slot)
{
	const struct worker *w = ex->worker;
	char text[ADDRESS_TEXT_MAX];

	if (w->conf->proxy_protocol == PROXY_OFF) {
		if (!admission_grant(ex, peer, slot))
			return false;
		note_handshake(ex, peer);
		return true;
	}
	if (is_trusted(w, peer))
		return true;
	stats_add(ex->stats, C_CONNECTIONS_ACCEPTED, 1);
	stats_add(ex->stats, C_CLOSED_PROXY_UNTRUSTED, 1);
	log_event(EVENT_PROXY_REFUSED, F_TEXT(SERVICE, w->conf->name),
		  F_TEXT(PEER, peer_text(w, peer, text)), F_TEXT(WHAT, "not in proxy_trusted"));
	return false;
}
