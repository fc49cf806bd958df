/* SPDX-License-Identifier: ISC */
/* From an address to a socket that clients can reach, step by step. */
#include "making.h"

#include "groups.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef SO_PASSRIGHTS
# ifdef __sparc__
#  define SO_PASSRIGHTS 0x005c
# else
#  define SO_PASSRIGHTS 83
# endif
#endif

enum { BURST = 4 << 20 /* bytes of datagrams that are to wait, as the kernel counts them */ };

static int set_int(struct making *m, const char *what, int level, int option)
{
	int on = 1;

	m->what = what;
	return setsockopt(m->fd, level, option, &on, sizeof(on)) < 0 ? -errno : 0;
}

static int apply(struct making *m, enum sockopt_stage stage)
{
	const struct sockopt_row *failed;
	int r = sockopt_apply(m->fd, &m->service->sockopts, stage, m->service->protocol, m->family,
			      &failed);

	if (r < 0)
		m->what = failed->name;
	return r;
}

int making_socket(struct making *m)
{
	const struct protocol_row *p = &protocols[m->service->protocol];

	m->what = "socket";
	m->fd = socket(m->family, p->type | SOCK_NONBLOCK | SOCK_CLOEXEC, p->ipproto);
	return m->fd < 0 ? -errno : 0;
}

/* An IPv6 socket serves IPv6 alone, so that "*:7" can be two sockets. */
int making_unbound_options(struct making *m)
{
	if (m->family != AF_INET6)
		return 0;
	return set_int(m, "IPV6_V6ONLY", IPPROTO_IPV6, IPV6_V6ONLY);
}

/* Room for a burst that comes while nobody looks: as much as net.core.rmem_max allows.  What a
 * .socket unit has set stays. */
static void widen(const struct making *m, int option)
{
	int is = 0, size = BURST;
	socklen_t len = sizeof(is);

	if (m->l && m->l->from)
		return;
	if (getsockopt(m->fd, SOL_SOCKET, option, &is, &len) == 0 && is < 2 * size /* socket(7) */)
		setsockopt(m->fd, SOL_SOCKET, option, &size, sizeof(size));
}

/* Bursts of one flow in one piece, which is no more than a way to save time. */
int making_gro(struct making *m)
{
	int on = m->service->udp.gro;

	if (m->service->protocol == PROTO_UDP)
		setsockopt(m->fd, SOL_UDP, UDP_GRO, &on, sizeof(on));
	return 0;
}

/* Where a report does not want them, it may have in the configuration before. */
int making_facts(struct making *m)
{
	static const struct {
		const char *name;
		int level, option, family; /* family 0: also of IPv6, to which IPv4 may come */
	} facts[] = {
		{"IP_RECVTOS", IPPROTO_IP, IP_RECVTOS, 0},
		{"IP_RECVTTL", IPPROTO_IP, IP_RECVTTL, 0},
		{"IPV6_RECVTCLASS", IPPROTO_IPV6, IPV6_RECVTCLASS, AF_INET6},
		{"IPV6_RECVHOPLIMIT", IPPROTO_IPV6, IPV6_RECVHOPLIMIT, AF_INET6},
		{"SO_TIMESTAMPNS", SOL_SOCKET, SO_TIMESTAMPNS, 0},
	};
	int on = m->service->respond == RESPOND_REPORT;

	for (size_t i = 0; i < sizeof(facts) / sizeof(facts[0]); i++) {
		bool inet = facts[i].level != SOL_SOCKET;

		if (protocols[m->service->protocol].stream ||
		    (inet && m->service->protocol != PROTO_UDP) ||
		    (facts[i].family && facts[i].family != m->family))
			continue;
		m->what = facts[i].name;
		if (setsockopt(m->fd, facts[i].level, facts[i].option, &on, sizeof(on)) < 0)
			return -errno;
	}
	return 0;
}

/* Nobody passes us descriptors, where the kernel can refuse them (Linux 6.16): we drop them, but to
 * drop the last of a socket that lingers is to wait for it, as in close(2). */
static void refuse_rights(const struct making *m)
{
	int off = 0;

	if (protocols[m->service->protocol].local)
		setsockopt(m->fd, SOL_SOCKET, SO_PASSRIGHTS, &off, sizeof(off));
}

/* Urgent bytes stay in line, where they are echoed as any other; MPTCP has none. */
int making_own_options(struct making *m)
{
	bool tcp = m->service->protocol == PROTO_TCP, udp = m->service->protocol == PROTO_UDP;
	int r = 0;

	refuse_rights(m);
	if (tcp)
		r = set_int(m, "SO_OOBINLINE", SOL_SOCKET, SO_OOBINLINE);
	/* Also for IPv6: IPv4 comes to a socket that is not of IPv6 alone. */
	if (r == 0 && udp)
		r = set_int(m, "IP_PKTINFO", IPPROTO_IP, IP_PKTINFO);
	if (r == 0 && udp && m->family == AF_INET6)
		r = set_int(m, "IPV6_RECVPKTINFO", IPPROTO_IPV6, IPV6_RECVPKTINFO);
	if (r == 0 && udp) {
		widen(m, SO_RCVBUF);
		widen(m, SO_SNDBUF);
		making_gro(m);
	}
	return r == 0 ? making_facts(m) : r;
}

/* Accepted sockets have it from the listener.  It is also for those that have been closed: a
 * peer that is gone, or reads nothing, holds memory of the kernel no longer than ours. */
int making_user_timeout(struct making *m)
{
	unsigned ms = m->service->write_timeout;
	const struct sockopt_set *asked = &m->service->sockopts;

	m->what = "TCP_USER_TIMEOUT";
	if (m->service->protocol != PROTO_TCP || asked->value[sockopt_find(m->what)].set)
		return 0;
	return setsockopt(m->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms)) < 0 ? -errno : 0;
}

int making_options_at_socket(struct making *m)
{
	return apply(m, AT_SOCKET);
}

/* Does anybody listen at the path of A, or is its file a leftover of the dead? */
static bool abandoned(const struct making *m, const struct address *a)
{
	int fd = socket(AF_UNIX,
			protocols[m->service->protocol].type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool refused;

	if (fd < 0)
		return false;
	refused = connect(fd, &a->sa, a->len) < 0 && errno == ECONNREFUSED;
	close(fd);
	return refused;
}

static bool has_file(const struct address *a)
{
	return a->sa.sa_family == AF_UNIX && a->un.sun_path[0] != '\0';
}

int making_share(struct making *m)
{
	if (listener_can_share(m->service->protocol) && !m->l->from)
		listener_share_port(m->fd, m->service, m->l->shares);
	return 0;
}

/* A file has its mode from the beginning: there is no moment in which it has another, or in which
 * whoever may write the directory could put something else in its place. */
static int bind_with_mode(const struct making *m)
{
	mode_t before = umask(~m->service->mode & 0777);
	int r = bind(m->fd, &m->at->sa, m->at->len);

	umask(before);
	return r;
}

int making_bind(struct making *m)
{
	const struct address *a = m->at;
	struct stat st;

	m->what = "bind";
	if (bind_with_mode(m) == 0)
		return 0;
	if (errno != EADDRINUSE || !has_file(a))
		return -errno;
	if (lstat(a->un.sun_path, &st) < 0 || !S_ISSOCK(st.st_mode) || !abandoned(m, a))
		return -EADDRINUSE;
	if (unlink(a->un.sun_path) < 0)
		return -errno;
	return bind_with_mode(m) < 0 ? -errno : 0;
}

/* The file of a UNIX socket: its mode, and how to know it again. */
int making_file(struct making *m)
{
	const char *path = m->l->asked.un.sun_path;
	struct stat st;

	if (!has_file(&m->l->asked))
		return 0;
	m->what = "chmod";
	if (lstat(path, &st) < 0)
		return -errno;
	/* After a reload, or where the directory has an ACL.  Not through a link, for which libc
	 * may need /proc. */
	if ((st.st_mode & 0777) != m->service->mode &&
	    fchmodat(AT_FDCWD, path, m->service->mode, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	m->l->made_file = true;
	m->l->dev = st.st_dev;
	m->l->ino = st.st_ino;
	return 0;
}

/* The mode of a file that is still ours; a unit's own has the mode that the unit says. */
int making_keep_file(struct making *m)
{
	return !m->l->from && listener_reachable(m->l) ? making_file(m) : 0;
}

/* What the kernel made of the address: a port of its choice, say. */
int making_address(struct making *m)
{
	struct address *a = &m->l->endpoint.address;

	m->what = "getsockname";
	a->len = sizeof(*a) - offsetof(struct address, sa);
	return getsockname(m->fd, &a->sa, &a->len) < 0 ? -errno : 0;
}

int making_options_when_bound(struct making *m)
{
	return apply(m, AT_BOUND);
}

int making_join_groups(struct making *m)
{
	m->what = "udp.groups";
	if (m->service->protocol != PROTO_UDP)
		return 0;
	return groups_join(m->fd, m->family, &m->service->udp, &m->what);
}

int making_listen(struct making *m)
{
	m->what = "listen";
	if (!protocols[m->service->protocol].stream || m->l->silent)
		return 0;
	return listen(m->fd, (int)m->service->backlog) < 0 ? -errno : 0;
}
