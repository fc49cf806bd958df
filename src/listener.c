/* SPDX-License-Identifier: ISC */
/* Listeners are made by steps (making.h), of which the first that fails names itself; or
 * taken over, made already.
 *
 * Whoever stops must know whose a socket is.  Our own, without a manager: it is shut, and its
 * file is removed.  One that the manager keeps for the next run: closed, and no more.  One of
 * a .socket unit: never ours to end. */
#include "listener.h"

#include "making.h"
#include "passed.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* A socket of SERVICE as L says, bound to the address AT.  L is given away. */
static struct listener *make(const struct service_conf *service, struct listener *l,
			     const struct address *at, struct listener_error *error)
{
	static int (*const steps[])(struct making *) = {
		making_socket,
		making_unbound_options,
		making_own_options,
		making_user_timeout,
		making_options_at_socket,
		making_share,
		making_bind,
		making_file,
		making_address,
		making_options_when_bound,
		making_join_groups,
		making_listen,
	};
	struct making m = {
		.service = service, .l = l, .at = at, .fd = -1, .family = at->sa.sa_family};
	int r = 0;

	l->protocol = service->protocol;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]) && r == 0; i++)
		r = steps[i](&m);
	l->endpoint.fd = m.fd;
	if (r == 0)
		return l;
	*error = (struct listener_error){.what = m.what, .error = -r};
	return listener_close(l);
}

struct listener *listener_open(const struct service_conf *service, const struct address *address,
			       struct listener_error *error)
{
	struct listener *l = calloc(1, sizeof(*l));

	*error = (struct listener_error){.what = "memory", .error = ENOMEM};
	if (!l)
		return NULL;
	l->asked = *address;
	return make(service, l, address, error);
}

struct listener *listener_open_share(const struct service_conf *service,
				     const struct listener *first, unsigned number,
				     struct listener_error *error)
{
	struct listener *l = calloc(1, sizeof(*l));

	*error = (struct listener_error){.what = "memory", .error = ENOMEM};
	if (!l)
		return NULL;
	l->asked = first->asked;
	l->share = number;
	l->shares = l->endpoint.shares = true;
	l->silent = protocols[service->protocol].stream;
	return make(service, l, &first->endpoint.address, error);
}

/* The processor whose packets are for L: that of the executor with its number (placement.h);
 * -1 for none, which is how sockets are made. */
static int processor_of(const struct listener *l, const struct service_conf *service)
{
	if (service->steering != STEERING_CPU || l->share >= service->workers)
		return -1;
	return service->cpus[l->share % service->n_cpus];
}

int listener_settle(struct listener *l, const struct service_conf *service,
		    struct listener_error *error)
{
	bool own = service->sockopts.value[sockopt_find("SO_INCOMING_CPU")].set;
	int cpu = processor_of(l, service);

	error->what = "SO_INCOMING_CPU";
	if (listener_can_share(l->protocol) && !l->from && !own &&
	    setsockopt(l->endpoint.fd, SOL_SOCKET, SO_INCOMING_CPU, &cpu, sizeof(cpu)) < 0) {
		error->error = errno;
		return -errno;
	}
	error->what = "listen";
	if (l->silent && listen(l->endpoint.fd, (int)service->backlog) < 0) {
		error->error = errno;
		return -errno;
	}
	l->silent = false;
	return 0;
}

void listener_share_port(int fd, const struct service_conf *service, bool share)
{
	const struct sockopt_value *v = &service->sockopts.value[sockopt_find("SO_REUSEPORT")];
	int on = share || (v->set && v->number);

	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
}

struct listener *listener_take_over(const struct service_conf *service, struct passed_socket *from,
				    struct listener_error *error)
{
	struct listener *l = calloc(1, sizeof(*l));
	int fd = from->stored ? from->fd : fcntl(from->fd, F_DUPFD_CLOEXEC, 0);

	if (!l || fd < 0) {
		*error = (struct listener_error){.what = "memory", .error = errno};
		if (fd >= 0 && !from->stored)
			close(fd);
		free(l);
		return NULL;
	}
	*l = (struct listener){
		.protocol = service->protocol,
		.asked = from->address,
		.endpoint = {.fd = fd, .address = from->address},
		.taken_over = true,
		.made_file = from->stored && (from->dev || from->ino),
		.dev = from->dev,
		.ino = from->ino,
		.from = from->stored ? NULL : from,
	};
	if (from->stored) {
		snprintf(l->stored, sizeof(l->stored), "%s", from->name);
		from->fd = -1;
	}
	return l;
}

void listener_store(struct listener *l, struct notify *n)
{
	if (l->stored[0] || l->from || !notify_wanted(n))
		return;
	passed_store_name(l->endpoint.fd, l->dev, l->ino, l->stored);
	notify_fd(n, l->stored, l->endpoint.fd);
}

/* Somebody may have removed the file, or put another in its place: that is not ours. */
bool listener_reachable(const struct listener *l)
{
	struct stat st;

	return !l->made_file || (lstat(l->asked.un.sun_path, &st) == 0 && st.st_dev == l->dev &&
				 st.st_ino == l->ino);
}

static void remove_file(const struct listener *l)
{
	if (l->made_file && !l->stored[0] && listener_reachable(l))
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

/* A UDP socket that is connected to itself hears nobody else, udp(7): what comes for its
 * address goes to a socket that serves it, or is refused, although the manager or a worker
 * that drains still has this one. */
static void deafen(const struct listener *l)
{
	struct address self = l->endpoint.address;

	if (self.sa.sa_family == AF_INET && self.in.sin_addr.s_addr == INADDR_ANY)
		self.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (self.sa.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&self.in6.sin6_addr))
		self.in6.sin6_addr = in6addr_loopback;
	(void)connect(l->endpoint.fd, &self.sa, self.len); /* if it cannot, it hears on */
}

struct listener *listener_shut(struct listener *l)
{
	bool ours = !l->stored[0] && !l->from;

	if (ours && protocols[l->protocol].stream)
		shutdown(l->endpoint.fd, SHUT_RDWR);
	else if (ours && !protocols[l->protocol].local)
		deafen(l);
	return listener_close(l);
}

struct listener *listener_drop(struct listener *l, struct notify *n)
{
	if (l->stored[0])
		notify_fd_remove(n, l->stored);
	l->stored[0] = '\0';
	return listener_shut(l);
}
