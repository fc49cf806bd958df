/* SPDX-License-Identifier: ISC */
/* Datagrams.  Every rule here keeps echod from being a weapon: it answers at most one
 * datagram with one of the same size, only where the question can have come from a host
 * that asked (CVE-1999-0103: two echo servers and one forged datagram make a loop), from
 * the very address that was asked (RFC 1123, 2.3), and never a question to many hosts.
 *
 * A send that fails is dropped and counted: to wait for one peer would be to let it delay
 * all the others. */
#include "dgram.h"

#include "conf.h"
#include "executor.h"
#include "stats.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* 65,535 bytes hold any datagram of IPv4 and IPv6 without jumbograms (RFC 2675). */
enum { DATAGRAM_MAX = 65536, LOOPBACK_INDEX = 1 /* of lo, in every network namespace */ };

/* One question and what the kernel told of it. */
struct question {
	struct address from;
	struct address to;       /* destination address, no port; len 0 = unknown (UNIX) */
	struct in_addr spec_dst; /* IPv4: our own address, to answer from */
	unsigned ifindex;        /* interface it came in by */
	size_t size;
	bool truncated;
};

/* Remember the group in TEXT, "239.1.2.3" or "239.1.2.3%eth0"; it was checked before. */
static void add_group(struct dgram *d, const char *text)
{
	struct address *a = &d->groups[d->n_groups];
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
	d->n_groups += a->len > 0;
}

int dgram_init(struct dgram *d, struct executor *ex)
{
	const struct service_conf *conf = ex->worker->conf;

	*d = (struct dgram){.executor = ex};
	d->buffer = malloc(DATAGRAM_MAX);
	d->groups = calloc(conf->udp.n_groups + SOCKOPTS_MAX, sizeof(*d->groups));
	if (!d->buffer || !d->groups) {
		dgram_deinit(d);
		return -ENOMEM;
	}
	for (size_t i = 0; i < conf->udp.n_refuse_source_ports; i++)
		ports_add(&d->refused, conf->udp.refuse_source_ports[i]);
	for (size_t i = 0; i < conf->udp.n_groups; i++)
		add_group(d, conf->udp.groups[i]);
	for (size_t i = 0; i < n_sockopts; i++)
		if (sockopts[i].type == OPT_MEMBERSHIP && conf->sockopts.value[i].set)
			add_group(d, conf->sockopts.value[i].text);
	return 0;
}

void dgram_deinit(struct dgram *d)
{
	free(d->buffer);
	free(d->groups);
	d->buffer = NULL;
	d->groups = NULL;
}

/* Where it was sent to, and by which interface it came. */
static void read_control(struct msghdr *msg, struct question *q)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			q->to.len = sizeof(q->to.in);
			q->to.in = (struct sockaddr_in){.sin_family = AF_INET,
							.sin_addr = info.ipi_addr};
			q->spec_dst = info.ipi_spec_dst;
			q->ifindex = (unsigned)info.ipi_ifindex;
			/* It came before IP_PKTINFO was set, to a socket that systemd had opened
			 * for us.  If its destination is no address of ours, but broadcast, the
			 * kernel will not send from there. */
			if (q->ifindex == 0 && q->spec_dst.s_addr == htonl(INADDR_ANY))
				q->spec_dst = info.ipi_addr;
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			q->to.len = sizeof(q->to.in6);
			q->to.in6 = (struct sockaddr_in6){.sin6_family = AF_INET6,
							  .sin6_addr = info.ipi6_addr};
			q->ifindex = info.ipi6_ifindex;
		}
	}
}

/* IPv4 on an IPv6 socket that serves both: the kernel gives the source as ::ffff:192.0.2.1
 * and the destination in both forms.  The rules are IPv4's, and so is the answer. */
static void unmap(struct question *q)
{
	struct sockaddr_in6 from = q->from.in6;

	if (q->from.sa.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&from.sin6_addr) ||
	    q->to.len == 0 || q->to.sa.sa_family != AF_INET)
		return;
	q->from = (struct address){
		.len = sizeof(q->from.in),
		.in = {.sin_family = AF_INET, .sin_port = from.sin6_port},
	};
	memcpy(&q->from.in.sin_addr, &from.sin6_addr.s6_addr[12], sizeof(q->from.in.sin_addr));
}

/* Receive one datagram.  Returns 1, 0 when none waits, -1 when there was an error to be
 * taken from the socket (an ICMP answer to something we sent: no concern of ours). */
static int receive(struct dgram *d, int fd, struct question *q)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct in_pktinfo)) +
					      CMSG_SPACE(sizeof(struct in6_pktinfo)) +
					      256 /* timestamps, when asked for by option */];
	struct iovec iov = {.iov_base = d->buffer, .iov_len = DATAGRAM_MAX};
	struct msghdr msg = {
		.msg_name = &q->from.sa,
		.msg_namelen = sizeof(q->from) - offsetof(struct address, sa),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n;

	n = recvmsg(fd, &msg, MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN ? 0 : -1;
	q->from.len = msg.msg_namelen;
	q->to.len = 0;
	q->ifindex = 0;
	q->size = (size_t)n;
	q->truncated = msg.msg_flags & MSG_TRUNC;
	read_control(&msg, q);
	unmap(q);
	return 1;
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

/* Is the source one of our own UNIX sockets? */
static bool own_path(const struct dgram *d, const struct question *q)
{
	const struct worker *w = d->executor->worker;

	for (size_t i = 0; i < w->n_endpoints; i++)
		if (address_equal(&w->endpoints[i].address, &q->from))
			return true;
	return false;
}

/* Was it sent to one of the groups that the configuration joins? */
static bool joined(const struct dgram *d, const struct question *q)
{
	for (size_t i = 0; i < d->n_groups; i++)
		if (address_equal(&d->groups[i], &q->to))
			return true;
	return false;
}

/* Was it sent to more than one host, and are we to answer that?  For a unicast destination
 * the kernel gives it as our own address too; for a broadcast it gives another. */
static bool answerable_destination(const struct dgram *d, const struct question *q)
{
	if (q->to.len == 0)
		return true;
	if (q->to.sa.sa_family == AF_INET6)
		return !IN6_IS_ADDR_MULTICAST(&q->to.in6.sin6_addr) || joined(d, q);
	if (IN_MULTICAST(ntohl(q->to.in.sin_addr.s_addr)))
		return joined(d, q);
	if (q->to.in.sin_addr.s_addr != q->spec_dst.s_addr)
		return d->executor->worker->conf->udp.answer_broadcast;
	return true;
}

/* The counter of the rule that forbids an answer, or C_DATAGRAMS_OUT if none does. */
static enum counter judge(const struct dgram *d, const struct question *q)
{
	uint16_t port = address_port(&q->from);

	if (q->truncated)
		return C_REFUSED_TRUNCATED;
	if (impossible_source(q))
		return C_REFUSED_SOURCE;
	if (q->from.sa.sa_family == AF_UNIX)
		return own_path(d, q) ? C_REFUSED_OWN_PORT : C_DATAGRAMS_OUT;
	if (ports_have(d->executor->worker->own_ports, port))
		return C_REFUSED_OWN_PORT;
	if (ports_have(&d->refused, port))
		return C_REFUSED_SOURCE_PORT;
	return answerable_destination(d, q) ? C_DATAGRAMS_OUT : C_REFUSED_DESTINATION;
}

/* Write into CONTROL from where the answer is to leave.  Interface 0 lets routing choose
 * the way out; only a link-local address means nothing without its link. */
static size_t write_control(const struct question *q, struct msghdr *msg)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(msg);

	if (q->to.len == 0)
		return 0;
	if (q->to.sa.sa_family == AF_INET) {
		struct in_pktinfo info = {.ipi_spec_dst = q->spec_dst};

		c->cmsg_level = IPPROTO_IP;
		c->cmsg_type = IP_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof(info));
		memcpy(CMSG_DATA(c), &info, sizeof(info));
		return CMSG_SPACE(sizeof(info));
	}
	if (IN6_IS_ADDR_MULTICAST(&q->to.in6.sin6_addr))
		return 0; /* the kernel chooses one of our addresses */

	struct in6_pktinfo info = {.ipi6_addr = q->to.in6.sin6_addr};

	if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
		info.ipi6_ifindex = q->ifindex;
	c->cmsg_level = IPPROTO_IPV6;
	c->cmsg_type = IPV6_PKTINFO;
	c->cmsg_len = CMSG_LEN(sizeof(info));
	memcpy(CMSG_DATA(c), &info, sizeof(info));
	return CMSG_SPACE(sizeof(info));
}

static bool answer(struct dgram *d, int fd, struct question *q)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct in6_pktinfo))] = {0};
	struct iovec iov = {.iov_base = d->buffer, .iov_len = q->size};
	struct msghdr msg = {
		.msg_name = &q->from.sa,
		.msg_namelen = q->from.len,
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n;

	msg.msg_controllen = write_control(q, &msg);
	if (msg.msg_controllen == 0)
		msg.msg_control = NULL;
	do
		n = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n >= 0;
}

size_t dgram_answer(struct dgram *d, size_t i, size_t max)
{
	struct stats *stats = d->executor->stats;
	int fd = d->executor->worker->endpoints[i].fd;
	struct question q;
	size_t n = 0;

	for (size_t tries = 0; tries < max; tries++) {
		enum counter verdict;
		int r = receive(d, fd, &q);

		if (r == 0)
			break;
		if (r < 0)
			continue;
		n++;
		stats_add(stats, C_DATAGRAMS_IN, 1);
		stats_add(stats, C_BYTES_IN, q.size);
		verdict = judge(d, &q);
		if (verdict == C_DATAGRAMS_OUT && !answer(d, fd, &q))
			verdict = C_DROPPED_SEND;
		stats_add(stats, verdict, 1);
		if (verdict == C_DATAGRAMS_OUT) {
			stats_add(stats, C_BYTES_OUT, q.size);
			stats_add(stats, C_ECHOES, 1);
		}
	}
	return n;
}

void dgram_finish(struct dgram *d)
{
	enum { BATCH = 64, BATCHES = 64 };

	for (size_t i = 0; i < d->executor->worker->n_endpoints; i++)
		for (int n = 0; n < BATCHES && !d->executor->leaving; n++)
			if (dgram_answer(d, i, BATCH) < BATCH)
				break;
}
