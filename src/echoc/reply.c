/* SPDX-License-Identifier: ISC */
/* Datagrams and their errors.  IP_RECVERR (ip(7)) puts each ICMP error, with the datagram
 * that it is about, into the error queue of a socket that need not be connected. */
#include "reply.h"

#include "moment.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/errqueue.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

/* What an ICMP message says, for people. */
static const struct {
	uint8_t origin, type, code;
	const char *text;
} complaints[] = {
	{SO_EE_ORIGIN_ICMP, ICMP_DEST_UNREACH, ICMP_NET_UNREACH, "ICMP net unreachable"},
	{SO_EE_ORIGIN_ICMP, ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, "ICMP host unreachable"},
	{SO_EE_ORIGIN_ICMP, ICMP_DEST_UNREACH, ICMP_PROT_UNREACH, "ICMP protocol unreachable"},
	{SO_EE_ORIGIN_ICMP, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, "ICMP port unreachable"},
	{SO_EE_ORIGIN_ICMP, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, "ICMP fragmentation needed"},
	{SO_EE_ORIGIN_ICMP, ICMP_DEST_UNREACH, ICMP_NET_ANO, "ICMP net prohibited"},
	{SO_EE_ORIGIN_ICMP, ICMP_DEST_UNREACH, ICMP_HOST_ANO, "ICMP host prohibited"},
	{SO_EE_ORIGIN_ICMP, ICMP_DEST_UNREACH, ICMP_PKT_FILTERED, "ICMP filtered"},
	{SO_EE_ORIGIN_ICMP, ICMP_TIME_EXCEEDED, ICMP_EXC_TTL, "ICMP time to live exceeded"},
	{SO_EE_ORIGIN_ICMP, ICMP_TIME_EXCEEDED, ICMP_EXC_FRAGTIME, "ICMP reassembly timed out"},
	{SO_EE_ORIGIN_ICMP6, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_NOROUTE, "ICMPv6 no route"},
	{SO_EE_ORIGIN_ICMP6, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_ADMIN, "ICMPv6 prohibited"},
	{SO_EE_ORIGIN_ICMP6, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_ADDR,
	 "ICMPv6 address unreachable"},
	{SO_EE_ORIGIN_ICMP6, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_NOPORT,
	 "ICMPv6 port unreachable"},
	{SO_EE_ORIGIN_ICMP6, ICMP6_PACKET_TOO_BIG, 0, "ICMPv6 packet too big"},
	{SO_EE_ORIGIN_ICMP6, ICMP6_TIME_EXCEEDED, 0, "ICMPv6 hop limit exceeded"},
};

/* Room for the control messages of either family. */
union control {
	struct cmsghdr align;
	char room[512];
};

void reply_prepare(int fd, int family)
{
	int one = 1;

	if (family == AF_INET)
		setsockopt(fd, IPPROTO_IP, IP_RECVTTL, &one, sizeof(one));
	else if (family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &one, sizeof(one));
}

int reply_send(int fd, const void *data, size_t size, const struct address *to)
{
	int r = 0;

	/* An ICMP error that came before is told by the next call, once each: the error queue
	 * has it too. */
	for (int tries = 0; tries < 8; tries++) {
		if (sendto(fd, data, size, MSG_NOSIGNAL, &to->sa, to->len) >= 0)
			return 0;
		r = -errno;
		if (r != -ECONNREFUSED && r != -EHOSTUNREACH && r != -ENETUNREACH && r != -EINTR)
			break;
	}
	return r;
}

const char *reply_complaint(const struct reply *r, char *buf, size_t size)
{
	char host[INET6_ADDRSTRLEN] = "";

	if (r->from.sa.sa_family == AF_INET6 && r->from.len)
		inet_ntop(AF_INET6, &r->from.in6.sin6_addr, host, sizeof(host));
	else if (r->from.len)
		inet_ntop(AF_INET, &r->from.in.sin_addr, host, sizeof(host));
	snprintf(buf, size, "%s%s%s", r->complaint, host[0] ? " from " : "", host);
	return buf;
}

static const char *complain(const struct sock_extended_err *e)
{
	if (e->ee_origin == SO_EE_ORIGIN_LOCAL)
		return e->ee_errno == EMSGSIZE ? "longer than this host sends" : "this host";
	for (size_t i = 0; i < sizeof(complaints) / sizeof(complaints[0]); i++)
		if (complaints[i].origin == e->ee_origin && complaints[i].type == e->ee_type &&
		    complaints[i].code == e->ee_code)
			return complaints[i].text;
	return "ICMP";
}

static void read_error(const struct sock_extended_err *e, struct reply *out)
{
	const struct sockaddr *from = SO_EE_OFFENDER(e);

	out->error = -(int)e->ee_errno;
	out->complaint = complain(e);
	out->mtu = e->ee_errno == EMSGSIZE ? e->ee_info : 0;
	out->from.len = 0;
	if (e->ee_origin == SO_EE_ORIGIN_LOCAL)
		return;
	out->from.len = from->sa_family == AF_INET    ? sizeof(out->from.in)
			: from->sa_family == AF_INET6 ? sizeof(out->from.in6)
						      : 0;
	memcpy(&out->from.sa, from, out->from.len);
}

static void read_control(struct msghdr *m, struct reply *out)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		bool six = c->cmsg_level == IPPROTO_IPV6;

		if (!six && c->cmsg_level != IPPROTO_IP)
			continue;
		if (c->cmsg_type == (six ? IPV6_RECVERR : IP_RECVERR))
			read_error((const struct sock_extended_err *)CMSG_DATA(c), out);
		else if (c->cmsg_type == (six ? IPV6_HOPLIMIT : IP_TTL))
			memcpy(&out->ttl, CMSG_DATA(c), sizeof(out->ttl));
	}
}

/* One call of recvmsg(2): 1, 0 if there is nothing, or -errno. */
static int take(int fd, int flags, void *data, struct reply *out)
{
	union control control;
	struct iovec iov = {.iov_base = data, .iov_len = REPLY_MAX};
	struct msghdr m = {.msg_iov = &iov,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = sizeof(control)};
	ssize_t n;

	*out = (struct reply){.ttl = -1};
	m.msg_name = &out->from.sa;
	m.msg_namelen = sizeof(out->from.un);
	n = recvmsg(fd, &m, flags);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	out->when = moment_now();
	out->size = (size_t)n;
	out->from.len = m.msg_namelen;
	read_control(&m, out);
	return 1;
}

int reply_take(int fd, void *data, struct reply *out)
{
	int r;

	/* recvmsg(2) may say an error that the queue has too, or that belongs to a sibling. */
	for (int tries = 0; tries < 8; tries++) {
		r = take(fd, MSG_ERRQUEUE, data, out);
		if (r == 1)
			return 1; /* unix(7) knows no such queue and gives the answer at once */
		r = take(fd, 0, data, out);
		if (r >= 0)
			return r;
	}
	*out = (struct reply){.ttl = -1,
			      .error = r,
			      .when = moment_now(),
			      .complaint = strerror(-r)};
	return 1;
}

int reply_wait(int fd, void *data, struct reply *out, int64_t deadline)
{
	for (;;) {
		int r = reply_take(fd, data, out);

		if (r != 0)
			return r;
		r = moment_poll(fd, POLLIN, deadline);
		if (r <= 0)
			return r;
	}
}
