/* SPDX-License-Identifier: ISC */
/* Notifications that never block.  A manager that hangs leaves its socket's queue full; then
 * what must arrive waits here, descriptors as duplicates, and goes out in order later.  The
 * socket is not connected: each datagram finds whoever is bound to the address by then. */
#include "notify.h"

#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	TEXT_MAX = 512,
	WAITING_MOST = 1024 /* notices: a manager that hangs must not cost memory without end */
};

/* One datagram that waits. */
struct notice {
	struct notice *next;
	int fd;                     /* a duplicate that goes with it, or -1 */
	char name[NOTIFY_NAME_MAX]; /* of the descriptor; "" without one */
	char text[TEXT_MAX];
};

/* Room for one descriptor beside a datagram, aligned as cmsg(3) wants it. */
union control {
	struct cmsghdr header;
	char room[CMSG_SPACE(sizeof(int))];
};

int notify_open(struct notify *n)
{
	const char *text = getenv("NOTIFY_SOCKET"), *why;
	int r;

	*n = (struct notify){.fd = -1};
	if (!text)
		return 0;
	r = address_parse_unix(text, &n->to, &why);
	unsetenv("NOTIFY_SOCKET");
	if (r < 0)
		return r;
	n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	return n->fd < 0 ? -errno : 0;
}

bool notify_wanted(const struct notify *n)
{
	return n->fd >= 0;
}

/* One datagram, with the descriptor FD unless that is -1. */
static int send_one(const struct notify *n, const char *text, int fd)
{
	struct iovec iov = {.iov_base = (void *)(uintptr_t)text, .iov_len = strlen(text)};
	struct sockaddr_un to = n->to.un;
	union control control = {.room = ""};
	struct msghdr m = {
		.msg_name = &to,
		.msg_namelen = n->to.len,
		.msg_iov = &iov,
		.msg_iovlen = 1,
	};

	if (fd >= 0) {
		control.header = (struct cmsghdr){
			.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
			.cmsg_len = CMSG_LEN(sizeof(int)),
		};
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(int));
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
	}
	return sendmsg(n->fd, &m, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

/* Will it never go, whoever listens? */
static bool hopeless(int r)
{
	return r == -EBADF || r == -EINVAL || r == -EMSGSIZE;
}

static void free_notice(struct notice *w)
{
	if (w->fd >= 0)
		close(w->fd);
	free(w);
}

static void drop_first(struct notify *n)
{
	struct notice *w = n->first;

	n->first = w->next;
	if (!n->first)
		n->last = NULL;
	n->waiting--;
	free_notice(w);
}

static void complain(int r, const char *text)
{
	errno = -r;
	log_repeated(LOG_ERR, "the service manager is not told %.*s: %m", (int)strcspn(text, "\n"),
		     text);
}

/* Put into the queue what could not be sent because of R. */
static void wait_with(struct notify *n, const char *text, const char *name, int fd, int r)
{
	struct notice *w = n->waiting < WAITING_MOST ? calloc(1, sizeof(*w)) : NULL;

	if (!w) {
		complain(-ENOBUFS, text);
		return;
	}
	w->fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fd >= 0 && w->fd < 0) {
		complain(-errno, text);
		free(w);
		return;
	}
	snprintf(w->name, sizeof(w->name), "%s", name);
	snprintf(w->text, sizeof(w->text), "%s", text);
	if (n->waiting++ == 0) {
		n->first = w;
		log_event(EVENT_MANAGER_SILENT, F_NUMBER(ERRNO, -r));
	} else {
		n->last->next = w;
	}
	n->last = w;
}

static void send_or_wait(struct notify *n, const char *text, const char *name, int fd)
{
	int r = -EAGAIN;

	if (n->fd < 0)
		return;
	notify_flush(n);
	if (n->waiting == 0)
		r = send_one(n, text, fd);
	if (hopeless(r))
		complain(r, text);
	else if (r < 0)
		wait_with(n, text, name, fd, r);
}

void notify_flush(struct notify *n)
{
	bool waited = n->waiting > 0;

	while (n->waiting > 0) {
		int r = send_one(n, n->first->text, n->first->fd);

		if (r < 0 && !hopeless(r))
			return;
		if (r < 0)
			complain(r, n->first->text);
		drop_first(n);
	}
	if (waited)
		log_event(EVENT_MANAGER_BACK);
}

void notify_must(struct notify *n, const char *format, ...)
{
	char text[TEXT_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	send_or_wait(n, text, "", -1);
}

bool notify_may(struct notify *n, const char *format, ...)
{
	char text[TEXT_MAX];
	va_list args;

	if (n->fd < 0)
		return false;
	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	notify_flush(n);
	return n->waiting == 0 && send_one(n, text, -1) == 0;
}

/* FDPOLL=0: else the manager drops a socket on which it sees an error. */
void notify_fd(struct notify *n, const char *name, int fd)
{
	char text[TEXT_MAX];

	snprintf(text, sizeof(text), "FDSTORE=1\nFDNAME=%s\nFDPOLL=0", name);
	send_or_wait(n, text, name, fd);
}

/* Is a descriptor called NAME still waiting?  It is forgotten. */
static bool recall(struct notify *n, const char *name)
{
	struct notice *before = NULL;

	for (struct notice *w = n->first; w; before = w, w = w->next) {
		if (w->fd < 0 || strcmp(w->name, name) != 0)
			continue;
		if (before)
			before->next = w->next;
		else
			n->first = w->next;
		if (n->last == w)
			n->last = before;
		n->waiting--;
		free_notice(w);
		return true;
	}
	return false;
}

void notify_fd_remove(struct notify *n, const char *name)
{
	char text[TEXT_MAX];

	if (recall(n, name))
		return;
	snprintf(text, sizeof(text), "FDSTOREREMOVE=1\nFDNAME=%s", name);
	send_or_wait(n, text, "", -1);
}

/* The manager closes what comes with BARRIER=1 when it gets to it: then the pipe hangs up. */
int notify_barrier(struct notify *n, int ms)
{
	struct pollfd end = {.events = 0};
	int r, line[2];

	if (n->fd < 0)
		return 0;
	notify_flush(n);
	if (n->waiting > 0)
		return -EAGAIN;
	if (pipe2(line, O_CLOEXEC) < 0)
		return -errno;
	r = send_one(n, "BARRIER=1", line[1]);
	close(line[1]);
	end.fd = line[0];
	if (r == 0 && poll(&end, 1, ms) <= 0)
		r = -ETIMEDOUT;
	close(line[0]);
	return r;
}

void notify_close(struct notify *n)
{
	while (n->waiting > 0)
		drop_first(n);
	if (n->fd >= 0)
		close(n->fd);
	n->fd = -1;
}
