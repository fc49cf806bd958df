/* SPDX-License-Identifier: ISC */
/* The answer must leave from the very address that was asked (RFC 1123, 2.3): the kernel tells
 * it with each datagram, and is told with each answer. */
#include "dgram_control.h"

#include <netinet/udp.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void read_pktinfo(const struct cmsghdr *c, struct question *q)
{
	struct in_pktinfo info;

	memcpy(&info, CMSG_DATA(c), sizeof(info));
	q->to.len = sizeof(q->to.in);
	q->to.in = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = info.ipi_addr};
	q->spec_dst = info.ipi_spec_dst;
	q->ifindex = (unsigned)info.ipi_ifindex;
	/* It came before IP_PKTINFO was set, to a socket that systemd had opened for us.  If its
	 * destination is no address of ours, but broadcast, the kernel will not send from there. */
	if (q->ifindex == 0 && q->spec_dst.s_addr == htonl(INADDR_ANY))
		q->spec_dst = info.ipi_addr;
}

static void read_pktinfo6(const struct cmsghdr *c, struct question *q)
{
	struct in6_pktinfo info;

	memcpy(&info, CMSG_DATA(c), sizeof(info));
	q->to.len = sizeof(q->to.in6);
	q->to.in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_addr = info.ipi6_addr};
	q->ifindex = info.ipi6_ifindex;
}

/* What is told where the service asked for it (making_facts()).  IP_TOS is one byte here, the
 * others are integers: ip(7), ipv6(7). */
static void read_fact(const struct cmsghdr *c, struct question *q)
{
	const unsigned char *data = CMSG_DATA(c);
	struct timespec t;

	if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
		q->tos = data[0];
	} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
		memcpy(&q->tos, data, sizeof(q->tos));
	} else if ((c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) ||
		   (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT)) {
		memcpy(&q->ttl, data, sizeof(q->ttl));
	} else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
		memcpy(&t, data, sizeof(t));
		q->when = (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
	}
}

/* Descriptors that a UNIX client has passed are ours now, and of no use. */
static void drop_rights(const struct cmsghdr *c)
{
	size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

	for (size_t i = 0; i < n; i++) {
		int fd;

		memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
		close(fd);
	}
}

/* IPv4 on an IPv6 socket that serves both: the kernel gives the source as ::ffff:192.0.2.1
 * and the destination in both forms.  The rules are IPv4's, and so is the answer. */
static void unmap(struct question *q)
{
	struct sockaddr_in6 from = q->from.in6;

	if (!IN6_IS_ADDR_V4MAPPED(&from.sin6_addr) || q->to.len == 0 ||
	    q->to.sa.sa_family != AF_INET)
		return;
	q->from = (struct address){
		.len = sizeof(q->from.in),
		.in = {.sin_family = AF_INET, .sin_port = from.sin6_port},
	};
	memcpy(&q->from.in.sin_addr, &from.sin6_addr.s6_addr[12], sizeof(q->from.in.sin_addr));
}

size_t dgram_control_read(struct msghdr *msg, struct question *q)
{
	int segment = 0;

	q->to.len = 0;
	q->ifindex = 0;
	q->tos = q->ttl = -1;
	q->when = -1;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO)
			read_pktinfo(c, q);
		else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO)
			read_pktinfo6(c, q);
		else if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO)
			memcpy(&segment, CMSG_DATA(c), sizeof(segment));
		else if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			drop_rights(c);
		else
			read_fact(c, q);
	}
	if (q->from.sa.sa_family == AF_INET6)
		unmap(q);
	return segment > 0 ? (size_t)segment : 0;
}

/* Append a control message of SIZE bytes to MSG. */
static void put(struct msghdr *msg, int level, int type, const void *data, size_t size)
{
	struct cmsghdr *c = (struct cmsghdr *)((char *)msg->msg_control + msg->msg_controllen);

	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(c), data, size);
	msg->msg_controllen += CMSG_SPACE(size);
}

/* Interface 0 lets routing choose the way out; only a link-local address means nothing without
 * its link. */
static void write_source(const struct question *q, struct msghdr *msg)
{
	struct in_pktinfo four = {.ipi_spec_dst = q->spec_dst};
	struct in6_pktinfo six = {.ipi6_addr = q->to.in6.sin6_addr};

	if (q->to.len == 0 || q->bound)
		return;
	if (q->to.sa.sa_family == AF_INET) {
		put(msg, IPPROTO_IP, IP_PKTINFO, &four, sizeof(four));
		return;
	}
	if (IN6_IS_ADDR_MULTICAST(&six.ipi6_addr))
		return; /* the kernel chooses one of our addresses */
	if (IN6_IS_ADDR_LINKLOCAL(&six.ipi6_addr))
		six.ipi6_ifindex = q->ifindex;
	put(msg, IPPROTO_IPV6, IPV6_PKTINFO, &six, sizeof(six));
}

void dgram_control_write(const struct question *q, uint16_t segment, struct msghdr *msg)
{
	msg->msg_controllen = 0;
	write_source(q, msg);
	if (segment > 0)
		put(msg, SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment));
}
