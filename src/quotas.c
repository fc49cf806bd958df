/* SPDX-License-Identifier: ISC */
/* The tables of a service, one behind the other; those that it does not need take no room. */
#include "quotas.h"

#include "breaker.h"
#include "conf.h"
#include "limiter.h"
#include "sources.h"

#include <assert.h>

enum { PORT = 4 /* one in so many of what a source may have is for one of its ports */ };

/* Whoever wants memory for something takes it from here; or only counts it. */
struct purse {
	char *at; /* NULL: count */
	size_t used;
};

static void *take(struct purse *p, size_t size)
{
	void *there = p->at ? p->at + p->used : NULL;

	p->used += (size + 63) & ~(size_t)63;
	return there;
}

static struct limiter *take_limiter(struct purse *p, uint32_t rate, uint32_t burst)
{
	void *there = take(p, limiter_size());

	return there ? limiter_init(there, rate, burst) : NULL;
}

/* As many as come in a second, at least one. */
static uint32_t connection_burst(const struct service_conf *conf)
{
	uint32_t second = (conf->connection_rate + 999) / 1000;

	return conf->connection_burst ? conf->connection_burst : second;
}

static void lay_out_datagrams(struct purse *p, struct quotas *l, const struct udp_conf *udp)
{
	void *there;

	l->datagrams = take_limiter(p, udp->rate, udp->burst);
	l->ports = take_limiter(p, udp->rate / PORT + 1, udp->burst / PORT + 1);
	there = take(p, breaker_size());
	l->breaker = there ? breaker_init(there) : NULL;
}

static void lay_out(struct purse *p, struct quotas *l, const struct service_conf *conf,
		    uint32_t max_clients)
{
	bool stream = protocols[conf->protocol].stream;
	void *there;

	if (stream && conf->max_clients_per_source > 0) {
		there = take(p, sources_size(max_clients));
		l->sources = there ? sources_init(there, max_clients) : NULL;
	}
	if (stream && conf->connection_rate > 0)
		l->connections = take_limiter(p, conf->connection_rate, connection_burst(conf));
	if (conf->protocol == PROTO_UDP && conf->udp.rate > 0 && conf->respond != RESPOND_DISCARD)
		lay_out_datagrams(p, l, &conf->udp);
}

size_t quotas_size(const struct service_conf *conf, uint32_t max_clients)
{
	struct purse p = {.at = NULL};
	struct quotas l;

	take(&p, sizeof(l));
	lay_out(&p, &l, conf, max_clients);
	return p.used;
}

struct quotas *quotas_init(void *at, const struct service_conf *conf, uint32_t max_clients,
			   const struct siphash_key *key)
{
	struct purse p = {.at = at};
	struct quotas *l;

	assert(at); /* else it would only be counted */
	l = take(&p, sizeof(*l));
	l->key = *key;
	lay_out(&p, l, conf, max_clients);
	return l;
}

struct prefix quotas_source(const struct source_prefix *what, const struct prefix *host)
{
	return prefix_cut(*host, host->width == 32 ? what->ipv4 : what->ipv6);
}

/* Of IPv4 one word, of IPv6 two: SipHash tells lengths apart. */
uint64_t quotas_hash(const struct siphash_key *key, const struct prefix *source)
{
	uint64_t words[2] = {source->lo, source->hi};

	return siphash(key, words, source->width == 32 ? sizeof(words[0]) : sizeof(words));
}
