/* SPDX-License-Identifier: ISC */
/* The options of sockets that stay while the configuration changes, under one daemon or from
 * one run to the next. */
#include "groups.h"
#include "log.h"
#include "making.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/socket.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SO_BUF_LOCK
# define SO_BUF_LOCK 72
#endif

typedef int step(struct making *);

/* Go all steps, also after one that fails: a socket that stays is to be as right as it can be.
 * Returns 0, or -errno of the first that failed with *ERROR. */
static int walk(struct making *m, step *const steps[], size_t n, struct listener_error *error)
{
	int first = 0;

	for (size_t i = 0; i < n; i++) {
		int r = steps[i](m);

		if (r == 0 || first < 0)
			continue;
		first = r;
		*error = (struct listener_error){.what = m->what, .error = -r};
	}
	return first;
}

/* A service of a .socket unit may be forbidden to make sockets of its own. */
static bool is_forbidden(int r)
{
	return r == -EAFNOSUPPORT || r == -EPERM || r == -EACCES;
}

int listener_options_try(const struct listener *l, const struct service_conf *service,
			 struct listener_error *error)
{
	static step *const steps[] = {
		making_unbound_options,
		making_own_options,
		making_options_at_socket,
		making_options_when_bound,
	};
	struct making m = {.service = service, .fd = -1, .family = l->asked.sa.sa_family};
	int r = making_socket(&m);

	if (r == 0)
		r = walk(&m, steps, sizeof(steps) / sizeof(steps[0]), error);
	else if (l->from && is_forbidden(r))
		r = 0;
	else
		*error = (struct listener_error){.what = m.what, .error = -r};
	if (m.fd >= 0)
		close(m.fd);
	return r;
}

/* A buffer as the new socket FRESH has it; and as one whose size was never set it is the
 * kernel's to tune. */
static int reset_buffer(int fd, int fresh, const struct sockopt_row *row)
{
	int option = row->read_option ? row->read_option : row->option; /* SO_RCVBUFFORCE */
	int lock = option == SO_RCVBUF ? SOCK_RCVBUF_LOCK : SOCK_SNDBUF_LOCK;
	int locks = 0, size = 0;
	socklen_t len = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &locks, &len) == 0 && !(locks & lock))
		return 0;
	if (getsockopt(fresh, SOL_SOCKET, option, &size, &len) < 0)
		return -errno;
	size /= 2; /* it is doubled again: socket(7) */
	if (setsockopt(fd, SOL_SOCKET, option, &size, sizeof(size)) < 0)
		return -errno;
	locks &= ~lock;
	setsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &locks, sizeof(locks));
	return 0;
}

/* Give FD the value of ROW that the new socket FRESH has.  Returns 0 or -errno. */
static int reset(int fd, int fresh, const struct sockopt_row *row)
{
	struct sockopt_value initial, is;

	if (row->doubled)
		return reset_buffer(fd, fresh, row);
	if (sockopt_get(fresh, row, &initial) < 0 || sockopt_get(fd, row, &is) < 0)
		return 0;
	if (initial.number == is.number && strcmp(initial.text, is.text) == 0)
		return 0;
	if (row->zero_unsets)
		initial.number = 0;
	return sockopt_set(fd, row, &initial);
}

/* Options that WAS has asked for and IS does not go back to what a new socket has; all of them
 * if WAS is NULL, for who knows what was set: one may have changed another. */
static void forget(const struct listener *l, const struct service_conf *was,
		   const struct service_conf *is)
{
	struct making m = {.service = is, .fd = -1, .family = l->asked.sa.sa_family};

	if (making_socket(&m) < 0)
		return;
	making_unbound_options(&m);
	making_own_options(&m);
	for (size_t i = 0; i < n_sockopts; i++) {
		const struct sockopt_row *row = &sockopts[i];
		bool mine = row->protocols & (1u << l->protocol) &&
			    (row->family == 0 || row->family == m.family) && !row->unreadable;
		int r = 0;

		if (mine && (!was || (was->sockopts.value[i].set && !is->sockopts.value[i].set)))
			r = reset(l->endpoint.fd, m.fd, row);
		if (r < 0)
			log_event(EVENT_OPTION_FAILED, F_TEXT(SERVICE, is->name),
				  F_TEXT(OPTION, row->name), F_NUMBER(ERRNO, -r));
	}
	close(m.fd);
}

/* The options of IS that WAS did not have, or not so: some can be set only before bind(2),
 * and need not be set again.  (Two options set each buffer: to forget one changes both.) */
static void changed_options(const struct service_conf *was, const struct service_conf *is,
			    struct service_conf *changed)
{
	*changed = *is;
	for (size_t i = 0; i < n_sockopts; i++) {
		const struct sockopt_value *a = &was->sockopts.value[i];
		struct sockopt_value *b = &changed->sockopts.value[i];

		if (a->set && !sockopts[i].doubled && a->number == b->number &&
		    strcmp(a->text, b->text) == 0)
			b->set = false;
	}
}

int listener_options_change(struct listener *l, const struct service_conf *was,
			    const struct service_conf *is, struct listener_error *error)
{
	static step *const steps[] = {
		making_gro,
		making_facts,
		making_options_at_socket,
		making_options_when_bound,
		making_keep_file,
		making_join_groups,
		making_listen,
	};
	struct service_conf changed;
	struct making m = {
		.service = &changed,
		.l = l,
		.fd = l->endpoint.fd,
		.family = l->asked.sa.sa_family,
	};

	int r, own;

	changed_options(was, is, &changed);
	forget(l, was, is);
	groups_leave(m.fd, m.family, &was->udp);
	if (listener_can_share(l->protocol) && !l->from)
		listener_share_port(m.fd, is, l->shares);
	r = walk(&m, steps, sizeof(steps) / sizeof(steps[0]), error);
	m.service = is; /* all of it, and not what has changed */
	own = making_user_timeout(&m);
	if (own < 0 && r == 0)
		*error = (struct listener_error){.what = m.what, .error = -own};
	return r < 0 ? r : own;
}

/* The options of IS, but for those that FD has already and does not let one set any more
 * (IPV6_V6ONLY).  Those that it lets are set again: some change others, as IP_TOS does
 * SO_PRIORITY. */
static void settable_options(int fd, const struct service_conf *is, struct service_conf *settable)
{
	*settable = *is;
	for (size_t i = 0; i < n_sockopts; i++) {
		struct sockopt_value *asked = &settable->sockopts.value[i], has;

		if (asked->set && sockopt_get(fd, &sockopts[i], &has) == 0 &&
		    has.number == asked->number && strcmp(has.text, asked->text) == 0 &&
		    sockopt_set(fd, &sockopts[i], asked) < 0)
			asked->set = false;
	}
}

/* systemd passes the sockets of units in blocking mode. */
static int make_nonblocking(struct making *m)
{
	int flags = fcntl(m->fd, F_GETFL);

	m->what = "O_NONBLOCK";
	return flags < 0 || fcntl(m->fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -errno : 0;
}

int listener_options_renew(struct listener *l, const struct service_conf *is,
			   struct listener_error *error)
{
	static step *const steps[] = {
		make_nonblocking,          making_own_options,
		making_user_timeout,       making_options_at_socket,
		making_options_when_bound, making_keep_file,
		making_join_groups,        making_listen,
	};
	struct service_conf settable;
	struct making m = {
		.service = &settable,
		.l = l,
		.fd = l->endpoint.fd,
		.family = l->asked.sa.sa_family,
	};

	if (!l->from) {
		forget(l, NULL, is);
		if (l->protocol == PROTO_UDP)
			groups_leave_all(m.fd, m.family);
	}
	if (listener_can_share(l->protocol) && !l->from)
		listener_share_port(m.fd, is, l->shares);
	settable_options(m.fd, is, &settable);
	l->taken_over = false;
	return walk(&m, steps, sizeof(steps) / sizeof(steps[0]), error);
}

/* The kernel cuts the backlog to net.core.somaxconn, and of a TCP listener it tells so. */
static void log_backlog(const struct listener *l, const struct service_conf *service)
{
	char asked[16], effective[16], address[ADDRESS_TEXT_MAX];
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	if (l->protocol != PROTO_TCP ||
	    getsockopt(l->endpoint.fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0 ||
	    info.tcpi_state != TCP_LISTEN || info.tcpi_sacked >= service->backlog)
		return;
	snprintf(asked, sizeof(asked), "%u", (unsigned)service->backlog);
	snprintf(effective, sizeof(effective), "%u", (unsigned)info.tcpi_sacked);
	log_event(EVENT_OPTION_CHANGED, F_TEXT(SERVICE, service->name),
		  F_TEXT(ADDRESS, address_format(&l->endpoint.address, address)),
		  F_TEXT(OPTION, "backlog"), F_TEXT(ASKED, asked), F_TEXT(EFFECTIVE, effective),
		  F_TEXT(TEXT, " (net.core.somaxconn: listen(2))"));
}

void listener_options_log(const struct listener *l, const struct service_conf *service)
{
	struct sockopt_value is;
	char asked[80], effective[80], address[ADDRESS_TEXT_MAX];

	log_backlog(l, service);
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
