/* SPDX-License-Identifier: ISC */
/* From an address to a socket that clients can reach: socket, options, bind, options,
 * groups, listen.  Each is a step in a list; the first that fails names itself. */
#include "listener.h"

#include "log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* A socket that is being made. */
struct making {
	const struct service_conf *service;
	struct listener *l;
	int fd;
	int family;
	const char *what; /* the step, for the error */
};

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

static int make_socket(struct making *m)
{
	const struct protocol_row *p = &protocols[m->service->protocol];

	m->what = "socket";
	m->fd = socket(m->family, p->type | SOCK_NONBLOCK | SOCK_CLOEXEC, p->ipproto);
	return m->fd < 0 ? -errno : 0;
}

/* What echod itself needs of a socket, before what the configuration asks for.  An IPv6
 * socket serves IPv6 alone, so that "*:7" can be two sockets.  Urgent bytes stay in line,
 * where they are echoed as any other; MPTCP has none. */
static int set_own_options(struct making *m)
{
	bool tcp = m->service->protocol == PROTO_TCP, udp = m->service->protocol == PROTO_UDP;
	int r = 0;

	if (m->family == AF_INET6)
		r = set_int(m, "IPV6_V6ONLY", IPPROTO_IPV6, IPV6_V6ONLY);
	if (r == 0 && tcp)
		r = set_int(m, "SO_OOBINLINE", SOL_SOCKET, SO_OOBINLINE);
	if (r == 0 && udp && m->family == AF_INET)
		r = set_int(m, "IP_PKTINFO", IPPROTO_IP, IP_PKTINFO);
	if (r == 0 && udp && m->family == AF_INET6)
		r = set_int(m, "IPV6_RECVPKTINFO", IPPROTO_IPV6, IPV6_RECVPKTINFO);
	return r;
}

static int set_options_at_socket(struct making *m)
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

static int bind_it(struct making *m)
{
	const struct address *a = &m->l->asked;
	struct stat st;

	m->what = "bind";
	if (bind(m->fd, &a->sa, a->len) == 0)
		return 0;
	if (errno != EADDRINUSE || !has_file(a))
		return -errno;
	if (lstat(a->un.sun_path, &st) < 0 || !S_ISSOCK(st.st_mode) || !abandoned(m, a))
		return -EADDRINUSE;
	if (unlink(a->un.sun_path) < 0)
		return -errno;
	return bind(m->fd, &a->sa, a->len) < 0 ? -errno : 0;
}

/* The file of a UNIX socket: its mode, and how to know it again. */
static int own_file(struct making *m)
{
	const char *path = m->l->asked.un.sun_path;
	struct stat st;

	if (!has_file(&m->l->asked))
		return 0;
	m->what = "chmod";
	if (chmod(path, m->service->mode) < 0 || stat(path, &st) < 0)
		return -errno;
	m->l->made_file = true;
	m->l->dev = st.st_dev;
	m->l->ino = st.st_ino;
	return 0;
}

/* Somebody may have removed the file, or put another in its place: that is not ours. */
bool listener_reachable(const struct listener *l)
{
	struct stat st;

	return !l->made_file || (lstat(l->asked.un.sun_path, &st) == 0 && st.st_dev == l->dev &&
				 st.st_ino == l->ino);
}

/* The mode of a file that is still ours. */
static int keep_file(struct making *m)
{
	return listener_reachable(m->l) ? own_file(m) : 0;
}

/* What the kernel made of the address: a port of its choice, say. */
static int learn_address(struct making *m)
{
	struct address *a = &m->l->endpoint.address;

	m->what = "getsockname";
	a->len = sizeof(*a) - offsetof(struct address, sa);
	return getsockname(m->fd, &a->sa, &a->len) < 0 ? -errno : 0;
}

static int set_options_when_bound(struct making *m)
{
	return apply(m, AT_BOUND);
}

/* Join or leave (the socket options for IPv4, IPv6) the group TEXT on interface INDEX, if
 * it is of the socket's family. */
static int group(const struct making *m, const char *text, int index, const int option[2])
{
	struct ip_mreqn four = {.imr_ifindex = index};
	struct ipv6_mreq six = {.ipv6mr_interface = (unsigned)index};
	int r = 0;

	if (inet_pton(AF_INET, text, &four.imr_multiaddr) == 1 && m->family == AF_INET)
		r = setsockopt(m->fd, IPPROTO_IP, option[0], &four, sizeof(four));
	else if (inet_pton(AF_INET6, text, &six.ipv6mr_multiaddr) == 1 && m->family == AF_INET6)
		r = setsockopt(m->fd, IPPROTO_IPV6, option[1], &six, sizeof(six));
	return r < 0 ? -errno : 0;
}

static int groups(struct making *m, const struct udp_conf *udp, const int option[2])
{
	int index = udp->interface[0] ? (int)if_nametoindex(udp->interface) : 0;
	int r = 0;

	m->what = "udp.interface";
	if (udp->interface[0] && index == 0)
		return -ENODEV;
	m->what = "udp.groups";
	for (size_t i = 0; i < udp->n_groups && r == 0; i++)
		r = group(m, udp->groups[i], index, option);
	return r;
}

static int join_groups(struct making *m)
{
	static const int join[2] = {IP_ADD_MEMBERSHIP, IPV6_ADD_MEMBERSHIP};

	return groups(m, &m->service->udp, join);
}

static void leave_groups(struct making *m, const struct udp_conf *was)
{
	static const int leave[2] = {IP_DROP_MEMBERSHIP, IPV6_DROP_MEMBERSHIP};

	groups(m, was, leave);
}

static int listen_to_it(struct making *m)
{
	m->what = "listen";
	if (!protocols[m->service->protocol].stream)
		return 0;
	return listen(m->fd, (int)m->service->backlog) < 0 ? -errno : 0;
}

struct listener *listener_open(const struct service_conf *service, const struct address *address,
			       struct listener_error *error)
{
	static int (*const steps[])(struct making *) = {
		make_socket,  set_own_options, set_options_at_socket,  bind_it,
		own_file,     learn_address,   set_options_when_bound, join_groups,
		listen_to_it,
	};
	struct making m = {.service = service, .fd = -1, .family = address->sa.sa_family};
	int r = 0;

	m.what = "memory";
	m.l = calloc(1, sizeof(*m.l));
	if (!m.l) {
		*error = (struct listener_error){.what = m.what, .error = ENOMEM};
		return NULL;
	}
	m.l->protocol = service->protocol;
	m.l->asked = *address;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && r == 0; i++)
		r = steps[i](&m);
	m.l->endpoint.fd = m.fd;
	if (r == 0)
		return m.l;
	*error = (struct listener_error){.what = m.what, .error = -r};
	return listener_close(m.l);
}

int listener_try_options(const struct listener *l, const struct service_conf *service,
			 struct listener_error *error)
{
	struct making m = {.service = service, .fd = -1, .family = l->asked.sa.sa_family};
	int r = make_socket(&m);

	if (r == 0)
		r = set_own_options(&m);
	if (r == 0)
		r = apply(&m, AT_SOCKET);
	if (r == 0)
		r = apply(&m, AT_BOUND);
	if (m.fd >= 0)
		close(m.fd);
	if (r < 0)
		*error = (struct listener_error){.what = m.what, .error = -r};
	return r;
}

/* An option that is no longer asked for goes back to what a new socket has. */
static void forget_options(struct listener *l, const struct service_conf *was,
			   const struct service_conf *is)
{
	struct making m = {.service = is, .fd = -1, .family = l->asked.sa.sa_family};
	struct sockopt_value initial;

	if (make_socket(&m) < 0)
		return;
	set_own_options(&m);
	for (size_t i = 0; i < n_sockopts; i++) {
		const struct sockopt_row *row = &sockopts[i];

		if (was->sockopts.value[i].set && !is->sockopts.value[i].set && !row->unreadable &&
		    sockopt_get(m.fd, row, &initial) == 0)
			sockopt_set(l->endpoint.fd, row, &initial);
	}
	close(m.fd);
}

/* The options of IS that WAS did not have, or not so: some can be set only before bind(2),
 * and need not be set again. */
static void changed_options(const struct service_conf *was, const struct service_conf *is,
			    struct service_conf *changed)
{
	*changed = *is;
	for (size_t i = 0; i < n_sockopts; i++) {
		const struct sockopt_value *a = &was->sockopts.value[i];
		struct sockopt_value *b = &changed->sockopts.value[i];

		if (a->set && a->number == b->number && strcmp(a->text, b->text) == 0)
			b->set = false;
	}
}

int listener_set_options(struct listener *l, const struct service_conf *was,
			 const struct service_conf *is, struct listener_error *error)
{
	static int (*const steps[])(struct making *) = {
		set_options_at_socket, set_options_when_bound, keep_file, join_groups, listen_to_it,
	};
	struct service_conf changed;
	struct making m = {
		.service = &changed,
		.l = l,
		.fd = l->endpoint.fd,
		.family = l->asked.sa.sa_family,
	};
	int r = 0;

	changed_options(was, is, &changed);
	forget_options(l, was, is);
	leave_groups(&m, &was->udp);
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && r == 0; i++)
		r = steps[i](&m);
	if (r < 0)
		*error = (struct listener_error){.what = m.what, .error = -r};
	return r;
}

static void remove_file(const struct listener *l)
{
	if (l->made_file && listener_reachable(l))
		unlink(l->asked.un.sun_path);
}

struct listener *listener_close(struct listener *l)
{
	if (!l)
		return NULL;
	remove_file(l);
	if (l->endpoint.fd >= 0)
		close(l->endpoint.fd);
	free(l);
	return NULL;
}

struct listener *listener_shut(struct listener *l)
{
	if (protocols[l->protocol].stream)
		shutdown(l->endpoint.fd, SHUT_RDWR);
	return listener_close(l);
}

void listener_log_options(const struct listener *l, const struct service_conf *service)
{
	struct sockopt_value is;
	char asked[80], effective[80], address[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < n_sockopts; i++) {
		const struct sockopt_value *v = &service->sockopts.value[i];

		if (!v->set || sockopts[i].unreadable ||
		    sockopt_stage(&sockopts[i], service->protocol) == AT_CONNECTION ||
		    sockopt_get(l->endpoint.fd, &sockopts[i], &is) < 0)
			continue;
		sockopt_format(&sockopts[i], v, asked, sizeof(asked));
		sockopt_format(&sockopts[i], &is, effective, sizeof(effective));
		if (strcmp(asked, effective) != 0)
			log_event(EVENT_OPTION_CHANGED, F_TEXT(SERVICE, service->name),
				  F_TEXT(ADDRESS, address_format(&l->endpoint.address, address)),
				  F_TEXT(OPTION, sockopts[i].name), F_TEXT(ASKED, asked),
				  F_TEXT(EFFECTIVE, effective),
				  F_TEXT(TEXT, sockopts[i].doubled ? " (it doubles what is set: "
								     "socket(7))"
								   : NULL));
	}
}
