/* SPDX-License-Identifier: ISC */
/* Whoever starts us passes descriptors, a count and names.  Nothing of it is believed before
 * the kernel has been asked: what a descriptor is, what it is bound to, whether it listens.
 *
 * A socket that we have put into the manager's store ourselves has a name that holds its own
 * inode number, so it cannot be confused with one of a .socket unit, whatever that is called;
 * for a UNIX socket with a path also the file's, since a path that leads to another socket by
 * now is not worth keeping. */
#include "passed.h"

#include "log.h"
#include "protocol.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

void passed_store_name(int fd, dev_t dev, ino_t ino, char name[NOTIFY_NAME_MAX])
{
	struct stat st = {.st_ino = 0};
	int n;

	fstat(fd, &st);
	n = snprintf(name, NOTIFY_NAME_MAX, "listener-%jx", (uintmax_t)st.st_ino);
	if (dev || ino)
		snprintf(name + n, NOTIFY_NAME_MAX - (size_t)n, "-%jx-%jx", (uintmax_t)dev,
			 (uintmax_t)ino);
}

/* Is it the name that we have given it?  Then what it says of the file is noted. */
static bool has_store_name(struct passed_socket *s)
{
	char expected[NOTIFY_NAME_MAX];
	uintmax_t socket_ino, dev = 0, ino = 0;
	int n = sscanf(s->name, "listener-%jx-%jx-%jx", &socket_ino, &dev, &ino);

	if (n != 1 && n != 3)
		return false;
	s->dev = (dev_t)dev;
	s->ino = (ino_t)ino;
	passed_store_name(s->fd, s->dev, s->ino, expected);
	return strcmp(s->name, expected) == 0;
}

static int get_int(int fd, int level, int option, int otherwise)
{
	socklen_t len = sizeof(int);
	int value = otherwise;

	return getsockopt(fd, level, option, &value, &len) < 0 ? otherwise : value;
}

/* The protocol of the socket FD bound to A, or -1. */
static int protocol_of(int fd, const struct address *a)
{
	int type = get_int(fd, SOL_SOCKET, SO_TYPE, -1);
	int number = get_int(fd, SOL_SOCKET, SO_PROTOCOL, -1);
	bool local = a->sa.sa_family == AF_UNIX;

	if (!local && a->sa.sa_family != AF_INET && a->sa.sa_family != AF_INET6)
		return -1;
	for (int i = 0; i < N_PROTOCOLS; i++) {
		const struct protocol_row *p = &protocols[i];
		int expected = p->ipproto               ? p->ipproto
			       : local                  ? 0
			       : p->type == SOCK_STREAM ? IPPROTO_TCP
							: IPPROTO_UDP;

		if (p->local == local && p->type == type && number == expected)
			return i;
	}
	return -1;
}

/* A datagram socket without an address of its own is given one by the first send. */
static bool is_bound(const struct address *a)
{
	if (a->sa.sa_family == AF_UNIX)
		return a->len > offsetof(struct sockaddr_un, sun_path);
	return address_port(a) != 0;
}

/* Ask the kernel what S is.  Returns why it cannot be served, or NULL. */
static const char *examine(struct passed_socket *s)
{
	struct address *a = &s->address, peer;

	a->len = peer.len = sizeof(*a) - offsetof(struct address, sa);
	if (getsockname(s->fd, &a->sa, &a->len) < 0) {
		a->len = 0;
		return errno == ENOTSOCK ? "is no socket" : "has no address";
	}
	s->protocol = protocol_of(s->fd, a);
	if (s->protocol < 0)
		return "is of a kind that echod does not serve";
	if (getpeername(s->fd, &peer.sa, &peer.len) == 0)
		return "is connected";
	if (protocols[s->protocol].stream && !get_int(s->fd, SOL_SOCKET, SO_ACCEPTCONN, 0))
		return "does not listen";
	if (!is_bound(a))
		return "is not bound to an address";
	s->v6only = a->sa.sa_family == AF_INET6 &&
		    get_int(s->fd, IPPROTO_IPV6, IPV6_V6ONLY, 0) != 0;
	return NULL;
}

/* Names come from outside and go into the log. */
static void make_printable(char *name)
{
	for (; *name; name++)
		if (!isprint((unsigned char)*name) || *name == '"')
			*name = '?';
}

void passed_take(struct passed *p)
{
	char **names = NULL;
	int n = sd_listen_fds_with_names(1, &names);

	*p = (struct passed){.n = 0};
	if (n < 0)
		p->problem = strerrordesc_np(-n);
	if (n > 0)
		p->socket = calloc((size_t)n, sizeof(*p->socket));
	if (n > 0 && !p->socket)
		p->problem = strerrordesc_np(ENOMEM);
	for (int i = 0; i < n; i++) {
		struct passed_socket *s = &p->socket[i];

		if (!p->socket) {
			close(SD_LISTEN_FDS_START + i);
			free(names[i]);
			continue;
		}
		*s = (struct passed_socket){
			.fd = SD_LISTEN_FDS_START + i,
			.number = SD_LISTEN_FDS_START + i,
			.name = names[i],
			.protocol = -1,
		};
		p->n++;
		s->unfit = examine(s);
		s->stored = has_store_name(s);
		make_printable(s->name);
	}
	free(names);
}

static void close_one(struct passed_socket *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

void passed_close(struct passed *p)
{
	for (size_t i = 0; i < p->n; i++) {
		close_one(&p->socket[i]);
		free(p->socket[i].name);
	}
	free(p->socket);
	*p = (struct passed){.n = 0};
}

void passed_log(struct passed *p)
{
	if (p->problem)
		log_event(EVENT_PASSED_WRONG, F_TEXT(WHAT, p->problem));
	for (size_t i = 0; i < p->n; i++) {
		struct passed_socket *s = &p->socket[i];

		if (!s->unfit || s->stored || s->fd < 0)
			continue;
		log_event(EVENT_PASSED_UNFIT, F_NUMBER(DESCRIPTOR, s->number),
			  F_TEXT(NAME, s->name), F_TEXT(WHAT, s->unfit));
		close_one(s);
	}
}

/* The file of a UNIX socket that we have stored is still the one that we made. */
static bool has_its_file(const struct passed_socket *s)
{
	struct stat st;

	return (!s->dev && !s->ino) || (lstat(s->address.un.sun_path, &st) == 0 &&
					st.st_dev == s->dev && st.st_ino == s->ino);
}

/* Not everybody may loose a socket from its interface, or bind it to another. */
static bool fits_interface(const struct passed_socket *s, const char *interface)
{
	char name[IFNAMSIZ] = "";
	socklen_t len = sizeof(name);

	if (!s->stored || getsockopt(s->fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len) < 0)
		return true;
	return name[0] == '\0' || strcmp(name, interface) == 0;
}

/* Is S a socket of PROTOCOL at ADDRESS that can be taken? */
static bool serves(const struct passed_socket *s, int protocol, const struct address *address,
		   bool v6only, const char *interface)
{
	return s->fd >= 0 && !s->unfit && s->protocol == protocol &&
	       address_equal(&s->address, address) &&
	       (address->sa.sa_family != AF_INET6 || s->v6only == v6only) && has_its_file(s) &&
	       fits_interface(s, interface);
}

struct passed_socket *passed_find(const struct passed *p, int protocol,
				  const struct address *address, bool v6only, const char *interface)
{
	for (size_t i = 0; i < p->n; i++)
		if (serves(&p->socket[i], protocol, address, v6only, interface))
			return &p->socket[i];
	return NULL;
}

void passed_want(struct passed *p, int protocol, const struct address *address, bool v6only,
		 const char *interface, unsigned max)
{
	for (size_t i = 0; i < p->n && max > 0; i++) {
		if (!serves(&p->socket[i], protocol, address, v6only, interface))
			continue;
		p->socket[i].wanted = true;
		max--;
	}
}

struct passed_socket *passed_next(const struct passed *p, const struct passed_socket *at,
				  const char *name, int protocol)
{
	for (size_t i = at ? (size_t)(at - p->socket) + 1 : 0; i < p->n; i++) {
		struct passed_socket *s = &p->socket[i];

		if (s->fd >= 0 && !s->unfit && !s->stored && s->protocol == protocol &&
		    strcmp(s->name, name) == 0)
			return s;
	}
	return NULL;
}

const char *passed_describe(const struct passed *p, char *buf, size_t size)
{
	char text[ADDRESS_TEXT_MAX];
	size_t used = 0;

	snprintf(buf, size, "nothing");
	for (size_t i = 0; i < p->n && used < size; i++) {
		const struct passed_socket *s = &p->socket[i];

		if (s->stored)
			continue;
		used += (size_t)snprintf(buf + used, size - used, "%s\"%s\" (%s%s%s)",
					 used ? ", " : "", s->name,
					 s->unfit ? s->unfit : protocols[s->protocol].name,
					 s->unfit ? "" : " ",
					 s->unfit ? "" : address_format(&s->address, text));
	}
	return buf;
}

size_t passed_discard(struct passed *p, struct notify *n)
{
	char text[ADDRESS_TEXT_MAX];
	size_t count = 0;

	for (size_t i = 0; i < p->n; i++) {
		struct passed_socket *s = &p->socket[i];

		if (!s->stored || s->wanted || s->fd < 0)
			continue;
		log_event(EVENT_LEFTOVER, F_TEXT(ADDRESS, address_format(&s->address, text)),
			  F_TEXT(TEXT, "kept by the service manager, is not needed any more"));
		notify_fd_remove(n, s->name);
		if ((s->dev || s->ino) && s->protocol >= 0 && has_its_file(s))
			unlink(s->address.un.sun_path);
		/* The manager has it too for a moment: nobody is to wait in its backlog. */
		if (s->protocol >= 0 && protocols[s->protocol].stream)
			shutdown(s->fd, SHUT_RDWR);
		close_one(s);
		count++;
	}
	return count;
}
