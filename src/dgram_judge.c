/* SPDX-License-Identifier: ISC */
/* Every rule here keeps echod from being a weapon: it answers only where the question can have
 * come from a host that asked (CVE-1999-0103: two echo servers and one forged datagram make a
 * loop), and never a question to many hosts. */
#include "dgram_judge.h"

#include "conf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOOPBACK_INDEX = 1 /* of lo, in every network namespace */ };

/* Remember the group in TEXT, "239.1.2.3" or "239.1.2.3%eth0"; it was checked before. */
static void add_group(struct dgram_judge *j, const char *text)
{
	struct address *a = &j->groups[j->n_groups];
	char host[INET6_ADDRSTRLEN];

	snprintf(host, sizeof(host), "%.*s", (int)strcspn(text, "%"), text);
	*a = (struct address){.len = 0};
	if (inet_pton(AF_INET, host, &a->in.sin_addr) == 1) {
		a->in.sin_family = AF_INET;
		a->len = sizeof(a->in);
	} else if (inet_pton(AF_INET6, host, &a->in6.sin6_addr) == 1) {
		a->in6.sin6_family = AF_INET6;
		a->len = sizeof(a->in6);
	}
	j->n_groups += a->len > 0;
}

int dgram_judge_init(struct dgram_judge *j, const struct worker *w)
{
	const struct service_conf *conf = w->conf;

	*j = (struct dgram_judge){.worker = w};
	dgram_guard_init(&j->guard, w);
	j->groups = calloc(conf->udp.n_groups + SOCKOPTS_MAX, sizeof(*j->groups));
	if (!j->groups)
		return -ENOMEM;
	for (size_t i = 0; i < conf->udp.n_refuse_source_ports; i++)
		ports_add(&j->refused, conf->udp.refuse_source_ports[i]);
	for (size_t i = 0; i < conf->udp.n_groups; i++)
		add_group(j, conf->udp.groups[i]);
	for (size_t i = 0; i < n_sockopts; i++)
		if (sockopts[i].type == OPT_MEMBERSHIP && conf->sockopts.value[i].set)
			add_group(j, conf->sockopts.value[i].text);
	return 0;
}

void dgram_judge_deinit(struct dgram_judge *j)
{
	free(j->groups);
	j->groups = NULL;
}

/* An IPv4 source that no single host can have: "this network", loopback from outside,
 * multicast, reserved and broadcast (RFC 1122, 3.2.1.3; RFC 6890). */
static bool impossible4(struct in_addr a, unsigned ifindex)
{
	uint32_t ip = ntohl(a.s_addr);

	return ip >> 24 == 0 || ip >= 0xe0000000 ||
	       (ip >> 24 == 127 && ifindex != LOOPBACK_INDEX && ifindex != 0 /* unknown */);
}

static bool impossible6(const struct in6_addr *a, unsigned ifindex)
{
	return IN6_IS_ADDR_UNSPECIFIED(a) || IN6_IS_ADDR_MULTICAST(a) || IN6_IS_ADDR_V4MAPPED(a) ||
	       (IN6_IS_ADDR_LOOPBACK(a) && ifindex != LOOPBACK_INDEX);
}

static bool impossible_source(const struct question *q)
{
	switch (q->from.sa.sa_family) {
	case AF_INET:
		return q->from.in.sin_port == 0 || impossible4(q->from.in.sin_addr, q->ifindex);
	case AF_INET6:
		return q->from.in6.sin6_port == 0 ||
		       impossible6(&q->from.in6.sin6_addr, q->ifindex);
	default: /* a UNIX socket without a name: nowhere to answer */
		return q->from.len <= offsetof(struct sockaddr_un, sun_path);
	}
}

/* Was it sent to one of the groups that the configuration joins? */
static bool joined(const struct dgram_judge *j, const struct question *q)
{
	for (size_t i = 0; i < j->n_groups; i++)
		if (address_equal(&j->groups[i], &q->to))
			return true;
	return false;
}

/* For a unicast destination the kernel gives it as our own address too; for a broadcast it gives
 * another. */
bool dgram_judge_many(const struct question *q)
{
	if (q->to.len == 0)
		return false;
	if (q->to.sa.sa_family == AF_INET6)
		return IN6_IS_ADDR_MULTICAST(&q->to.in6.sin6_addr);
	return IN_MULTICAST(ntohl(q->to.in.sin_addr.s_addr)) ||
	       q->to.in.sin_addr.s_addr != q->spec_dst.s_addr;
}

static bool is_group(const struct address *a)
{
	return a->sa.sa_family == AF_INET6 || IN_MULTICAST(ntohl(a->in.sin_addr.s_addr));
}

static bool answerable_destination(const struct dgram_judge *j, const struct question *q)
{
	if (!dgram_judge_many(q))
		return true;
	return is_group(&q->to) ? joined(j, q) : j->worker->conf->udp.answer_broadcast;
}

enum counter dgram_judge(struct dgram_judge *j, const struct question *q)
{
	uint16_t port = address_port(&q->from);

	if (q->truncated)
		return C_REFUSED_TRUNCATED;
	if (impossible_source(q))
		return C_REFUSED_SOURCE;
	if (own_has(j->worker->own, &q->from))
		return C_REFUSED_OWN_PORT;
	if (q->from.sa.sa_family == AF_UNIX)
		return C_DATAGRAMS_OUT;
	if (ports_have(&j->refused, port))
		return C_REFUSED_SOURCE_PORT;
	if (!answerable_destination(j, q))
		return C_REFUSED_DESTINATION;
	return dgram_guard_ask(&j->guard, &q->from, q->data, q->size);
}
