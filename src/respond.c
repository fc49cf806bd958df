/* SPDX-License-Identifier: ISC */
/* What is answered, and what the kernel knows for a report.
 *
 * A stream has no packets: its TOS and TTL are those of the packet that ended the handshake,
 * which Linux keeps for IP_PKTOPTIONS (with IPv6, of the latest that IPV6_2292PKTOPTIONS saw,
 * and that is the same until it is asked for). */
#include "respond.h"

#include "executor.h"
#include "report.h"
#include "worker.h"

#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef IPV6_2292PKTOPTIONS
# define IPV6_2292PKTOPTIONS 6
#endif

enum { HOST_MAX = 65 /* bytes of a host's name, gethostname(2), NUL included */ };

/* What a report of any kind says of who answers; HOST is room for its name. */
static struct report who(const struct executor *ex, char host[HOST_MAX])
{
	const struct service_conf *conf = ex->worker->conf;

	if (gethostname(host, HOST_MAX) < 0)
		host[0] = '\0';
	host[HOST_MAX - 1] = '\0';
	return (struct report){
		.tos = -1,
		.ttl = -1,
		.length = -1,
		.host = host,
		.service = conf->name,
		.worker = ex->worker->number,
		.pid = getpid(),
		.tid = gettid(),
		.received = -1,
		.protocol = protocols[conf->protocol].name,
		.model = conf->model->name,
		.engine = conf->engine->name,
	};
}

/* One family's way to ask for what came with a stream's packets. */
struct packet_options {
	int level, options; /* getsockopt(2): all that is wanted, as control messages */
	int want_tos, want_ttl;
	int tos, ttl; /* types of those */
};

static const struct packet_options packets4 = {IPPROTO_IP, IP_PKTOPTIONS, IP_RECVTOS,
					       IP_RECVTTL, IP_TOS,        IP_TTL};
static const struct packet_options packets6 = {IPPROTO_IPV6,    IPV6_2292PKTOPTIONS,
					       IPV6_RECVTCLASS, IPV6_RECVHOPLIMIT,
					       IPV6_TCLASS,     IPV6_HOPLIMIT};

static void ask_packets(int fd, const struct packet_options *o, struct report *r)
{
	_Alignas(struct cmsghdr) char control[256];
	socklen_t size = sizeof(control);
	struct msghdr msg = {.msg_control = control};
	int on = 1;

	if (setsockopt(fd, o->level, o->want_tos, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, o->level, o->want_ttl, &on, sizeof(on)) < 0 ||
	    getsockopt(fd, o->level, o->options, control, &size) < 0)
		return;
	msg.msg_controllen = size;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&msg); c; c = CMSG_NXTHDR(&msg, c)) {
		int value;

		if (c->cmsg_level != o->level || c->cmsg_len < CMSG_LEN(sizeof(value)))
			continue;
		memcpy(&value, CMSG_DATA(c), sizeof(value));
		if (c->cmsg_type == o->tos)
			r->tos = value;
		else if (c->cmsg_type == o->ttl)
			r->ttl = value;
	}
}

static bool is_ipv6(const struct address *a)
{
	return a->sa.sa_family == AF_INET6 && !IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr);
}

static uint32_t report_stream(const struct asked_stream *s, char answer[REPORT_MAX])
{
	char host[HOST_MAX];
	struct report r = who(s->executor, host);
	struct tcp_info tcp;
	socklen_t size = sizeof(tcp);

	r.proxy = s->proxy;
	r.peer.len = r.local.len = sizeof(r.peer) - offsetof(struct address, sa);
	if (getpeername(s->fd, &r.peer.sa, &r.peer.len) < 0)
		r.peer.len = 0;
	if (getsockname(s->fd, &r.local.sa, &r.local.len) < 0)
		r.local.len = 0;
	if (!protocols[s->executor->worker->conf->protocol].local) {
		ask_packets(s->fd, is_ipv6(&r.local) ? &packets6 : &packets4, &r);
		memset(&tcp, 0, sizeof(tcp)); /* an older kernel gives less */
		if (getsockopt(s->fd, IPPROTO_TCP, TCP_INFO, &tcp, &size) == 0)
			r.tcp = &tcp;
	}
	return (uint32_t)report_write(&r, answer, REPORT_MAX);
}

static ssize_t report_datagram(const struct asked_datagram *d, char *p, size_t n)
{
	char host[HOST_MAX];
	struct report r = who(d->executor, host);
	size_t length;

	r.tos = d->tos;
	r.ttl = d->ttl;
	r.length = (int64_t)n;
	r.peer = *d->from;
	r.local = *d->to;
	r.received = d->received;
	length = report_write(&r, p, n);
	return length > 0 ? (ssize_t)length : -1;
}

/* RFC 863: whatever comes is thrown away. */
static ssize_t discard_datagram(const struct asked_datagram *d, char *p, size_t n)
{
	(void)d;
	(void)p;
	(void)n;
	return -1;
}

const struct responder responders[] = {
	[RESPOND_ECHO] = {.answered = C_ECHOES},
	[RESPOND_REPORT] = {.stream = report_stream,
			    .datagram = report_datagram,
			    .answered = C_REPORTS,
			    .silent = C_REFUSED_SHORT,
			    .facts = true},
	[RESPOND_DISCARD] = {.datagram = discard_datagram, .silent = C_DATAGRAMS_DISCARDED},
};
