/* SPDX-License-Identifier: ISC */
/* A client's sockets.  A client has no listener, so every option is set before bind(2) and
 * connect(2), where all of them are taken; those of the table that only a connection takes
 * are set by the kernel from there. */
#include "sock.h"

#include "exits.h"
#include "moment.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Set the options that have a short form, for the family of FD.  Returns 0 or -errno. */
static int set_marks(const struct sock_conf *conf, int fd, int family)
{
	bool six = family == AF_INET6;
	int level = six ? IPPROTO_IPV6 : IPPROTO_IP, one = 1;
	const struct {
		bool wanted;
		int option, value;
	} marks[] = {
		{conf->dscp >= 0, six ? IPV6_TCLASS : IP_TOS, (int)conf->dscp * 4},
		{conf->ttl >= 0, six ? IPV6_UNICAST_HOPS : IP_TTL, (int)conf->ttl},
		{conf->df, six ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER, IP_PMTUDISC_DO},
		{conf->df && six, IPV6_DONTFRAG, one},
		{conf->report_errors, six ? IPV6_RECVERR : IP_RECVERR, one},
	};

	if (family == AF_UNIX)
		return 0;
	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
		if (marks[i].wanted && setsockopt(fd, level, marks[i].option, &marks[i].value,
						  sizeof(marks[i].value)) < 0)
			return -errno;
	return 0;
}

/* -o, all stages. */
static int set_asked(const struct sock_conf *conf, int fd, int family, const char **what)
{
	const struct sockopt_row *failed = NULL;

	for (enum sockopt_stage stage = AT_SOCKET; stage <= AT_CONNECTION; stage++) {
		int r = sockopt_apply(fd, &conf->asked, stage, conf->protocol, family, &failed);

		if (r < 0) {
			*what = failed ? failed->name : "socket option";
			return r;
		}
	}
	return 0;
}

/* --source as one or two addresses: their number, or -EINVAL. */
static int source_addresses(const struct sock_conf *conf, struct address out[2], const char **why)
{
	char text[ADDRESS_TEXT_MAX];
	const char *source = conf->source;

	if (protocols[conf->protocol].local)
		return address_parse_unix(source, out, why) < 0 ? -EINVAL : 1;
	if (target_has_port(source))
		snprintf(text, sizeof(text), "%s", source);
	else
		snprintf(text, sizeof(text),
			 strchr(source, ':') && source[0] != '[' ? "[%s]:0" : "%s:0", source);
	return address_parse_ip(text, out, why);
}

/* --source as an address of TO's family. */
static int parse_source(const struct sock_conf *conf, const struct address *to, struct address *out)
{
	struct address both[2];
	const char *why;
	int n = source_addresses(conf, both, &why);

	if (n < 0)
		return -EINVAL;
	*out = both[0];
	for (int i = 0; i < n; i++)
		if (both[i].sa.sa_family == to->sa.sa_family)
			*out = both[i];
	return out->sa.sa_family == to->sa.sa_family ? 0 : -EAFNOSUPPORT;
}

static void put_port(struct address *a, uint16_t port)
{
	if (a->sa.sa_family == AF_INET6)
		a->in6.sin6_port = htons(port);
	else if (a->sa.sa_family == AF_INET)
		a->in.sin_port = htons(port);
}

static int bind_source(const struct sock_conf *conf, int fd, const struct address *to,
		       uint16_t port)
{
	struct address from = {
		.len = sizeof(sa_family_t)}; /* unix: a name of the kernel's choice */
	int family = to->sa.sa_family, one = 1, r;

	if (!conf->source && port == 0 && conf->protocol != PROTO_UNIX_DGRAM)
		return 0;
	from.sa.sa_family = (sa_family_t)family;
	if (conf->source) {
		r = parse_source(conf, to, &from);
		if (r < 0)
			return r;
	} else if (family != AF_UNIX) {
		from.len = family == AF_INET6 ? sizeof(from.in6) : sizeof(from.in);
	}
	if (port != 0 && address_port(&from) == 0)
		put_port(&from, port);
	/* So that the same port can be had again at once, TIME_WAIT or not. */
	if (protocols[conf->protocol].stream && address_port(&from) != 0)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	else if (family != AF_UNIX && address_port(&from) == 0)
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
	return bind(fd, &from.sa, from.len) < 0 ? -errno : 0;
}

int sock_open(const struct sock_conf *conf, const struct address *to, uint16_t source_port,
	      const char **what)
{
	const struct protocol_row *p = &protocols[conf->protocol];
	int family = to->sa.sa_family, one = 1, fd, r;

	*what = "socket";
	fd = socket(family, p->type | SOCK_NONBLOCK | SOCK_CLOEXEC, p->ipproto);
	if (fd < 0)
		return -errno;
	/* An echo is waited for: never hold a small write back.  -o can say otherwise. */
	if (p->stream && !p->local)
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	r = set_asked(conf, fd, family, what);
	if (r == 0) {
		*what = "dscp, ttl or df";
		r = set_marks(conf, fd, family);
	}
	if (r == 0) {
		*what = "bind";
		r = bind_source(conf, fd, to, source_port);
	}
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

/* Wait for connect(2) to end. */
static int finish(int fd, int64_t deadline)
{
	socklen_t size = sizeof(int);
	int error = 0, r;

	r = moment_poll(fd, POLLOUT, deadline);
	if (r <= 0)
		return r == 0 ? -ETIMEDOUT : r;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		return -errno;
	return -error;
}

/* connect(2) of a unix socket does not begin when the backlog is full: it says EAGAIN. */
static int start(int fd, const struct address *to, int64_t deadline)
{
	while (connect(fd, &to->sa, to->len) < 0) {
		int r = -errno;

		if (r == -EINPROGRESS)
			return finish(fd, deadline);
		if (r != -EAGAIN || to->sa.sa_family != AF_UNIX)
			return r;
		if (moment_now() >= deadline)
			return -ETIMEDOUT;
		r = moment_poll(-1, 0, moment_now() + 5 * MOMENT_MS);
		if (r < 0)
			return r;
	}
	return 0;
}

int sock_connect(const struct sock_conf *conf, const struct address *to, int64_t deadline,
		 const char **what)
{
	int fd = sock_open(conf, to, 0, what), r;

	if (fd < 0 || (!protocols[conf->protocol].stream && !conf->connected))
		return fd;
	*what = "connect";
	r = start(fd, to, deadline);
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

int sock_connect_any(const struct sock_conf *conf, const struct target *t, int64_t timeout,
		     const struct address **to, const char **what)
{
	int r = -EADDRNOTAVAIL;

	for (size_t i = 0; i < t->n; i++) {
		*to = &t->addresses[i];
		r = sock_connect(conf, *to, moment_now() + timeout, what);
		if (r >= 0 || r == -EINTR)
			break;
	}
	return r;
}

void sock_name(int fd, struct address *out)
{
	*out = (struct address){.len = sizeof(out->un)};
	if (getsockname(fd, &out->sa, &out->len) < 0)
		out->len = 0;
}

void sock_print_options(const struct sock_conf *conf, int fd, FILE *out)
{
	struct address local;
	struct sockopt_value value;
	char asked[96], is[96];

	sock_name(fd, &local);
	for (size_t i = 0; i < n_sockopts; i++) {
		const struct sockopt_row *row = &sockopts[i];
		const struct sockopt_value *want = &conf->asked.value[i];

		if (row->unreadable || !(row->protocols & (1u << conf->protocol)) ||
		    (row->family && row->family != local.sa.sa_family))
			continue;
		if (sockopt_get(fd, row, &value) < 0)
			continue; /* this kernel has it not */
		fprintf(out, "%s = %s", row->name, sockopt_format(row, &value, is, sizeof(is)));
		if (want->set) {
			sockopt_format(row, want, asked, sizeof(asked));
			fprintf(out, " (asked: %s%s)", asked,
				row->doubled ? "; the kernel doubles it" : "");
		}
		fputc('\n', out);
	}
}

/* fe80::1 is on every interface. */
static bool has_no_scope(const struct target *t)
{
	for (size_t i = 0; i < t->n; i++) {
		const struct sockaddr_in6 *six = &t->addresses[i].in6;

		if (six->sin6_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&six->sin6_addr) &&
		    six->sin6_scope_id == 0)
			return true;
	}
	return false;
}

int sock_take_target(const struct options *o, const struct sock_conf *conf, int n, char *argv[],
		     struct target *t)
{
	bool local = protocols[conf->protocol].local;
	const char *port = NULL, *why;
	struct address from[2];
	int taken = 1, r;

	if (conf->source && source_addresses(conf, from, &why) < 0)
		return -options_error(o, "--source %s: %s", conf->source, why);
	if (n < 1)
		return -options_error(o, local ? "which socket? give its path" : "which HOST?");
	if (n > 1 && !local && !target_has_port(argv[0])) {
		port = argv[1];
		taken = 2;
	}
	if (target_parse(t, argv[0], port, conf->protocol, &why) < 0)
		return -options_error(o, "%s: %s", argv[0], why);
	r = target_resolve(t, conf->protocol, conf->family, &why);
	if (r == -EINVAL)
		return -options_error(o, "%s: %s", t->port, why);
	if (r < 0)
		return -(int)exits_say(EXITS_NAME, o->command, "%s: %s", t->host, why);
	if (has_no_scope(t))
		return -options_error(o, "%s: which interface? write %s%%eth0", t->host, t->host);
	return taken;
}
