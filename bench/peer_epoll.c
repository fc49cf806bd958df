/* SPDX-License-Identifier: ISC */
/* peer_epoll.c - the bare epoll echo loop that the bench compares echod's
 * iterative + epoll with: one thread, one shared read buffer, one recv and one send per
 * event.  It has no limits, timeouts, counters or logs, but it is correct: what a client
 * does not take is kept and the client is not read meanwhile, a half-close is answered
 * after the last byte, and running out of descriptors does not make it spin.
 *
 * BUFFER bytes are read at once, 256 KiB if not said: for bulk that is its best size. */
#include "peer.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum { READ_SIZE = 256 * 1024, MAX_EVENTS = 512, PAUSE_MS = 100 };

struct conn {
	int fd;
	char *pending; /* what the client has not taken yet, or NULL */
	size_t len;    /* bytes of it */
	size_t off;    /* bytes of it that are sent */
};

static char *buffer;
static size_t buffer_size = READ_SIZE;
static int epoll_fd, listen_fd;
static bool paused; /* the listener is out of the poll set: no descriptors or memory */

static void watch(int op, int fd, uint32_t events, struct conn *c)
{
	struct epoll_event ev = {.events = events, .data.ptr = c};

	if (epoll_ctl(epoll_fd, op, fd, &ev) < 0)
		peer_die("epoll_ctl");
}

static void resume_accepting(void)
{
	if (!paused)
		return;
	paused = false;
	watch(EPOLL_CTL_MOD, listen_fd, EPOLLIN, NULL);
}

static void conn_close(struct conn *c)
{
	close(c->fd);
	free(c->pending);
	free(c);
	resume_accepting();
}

static void conn_accept(void)
{
	for (;;) {
		struct conn *c;
		int fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0) {
			if (errno == EINTR || errno == ECONNABORTED)
				continue;
			if (errno == EAGAIN)
				return;
			paused = true;
			watch(EPOLL_CTL_MOD, listen_fd, 0, NULL);
			return;
		}
		c = calloc(1, sizeof(*c));
		if (!c) {
			close(fd);
			return;
		}
		c->fd = fd;
		watch(EPOLL_CTL_ADD, fd, EPOLLIN, c);
	}
}

/* Keep what a short write left, and read no more until it is gone. */
static void conn_hold(struct conn *c, const char *data, size_t len)
{
	c->pending = malloc(len);
	if (!c->pending) {
		conn_close(c);
		return;
	}
	memcpy(c->pending, data, len);
	c->len = len;
	c->off = 0;
	watch(EPOLL_CTL_MOD, c->fd, EPOLLOUT, c);
}

/* Reading happens only while nothing is pending, so at end of file all is sent. */
static void conn_read(struct conn *c)
{
	ssize_t sent, got = recv(c->fd, buffer, buffer_size, 0);

	if (got <= 0) {
		if (got == 0 || (errno != EAGAIN && errno != EINTR))
			conn_close(c);
		return;
	}
	sent = send(c->fd, buffer, (size_t)got, MSG_NOSIGNAL);
	if (sent == got)
		return;
	if (sent < 0) {
		if (errno != EAGAIN && errno != EINTR) {
			conn_close(c);
			return;
		}
		sent = 0;
	}
	conn_hold(c, buffer + sent, (size_t)(got - sent));
}

static void conn_flush(struct conn *c)
{
	ssize_t sent = send(c->fd, c->pending + c->off, c->len - c->off, MSG_NOSIGNAL);

	if (sent < 0) {
		if (errno != EAGAIN && errno != EINTR)
			conn_close(c);
		return;
	}
	c->off += (size_t)sent;
	if (c->off < c->len)
		return;
	free(c->pending);
	c->pending = NULL;
	watch(EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
}

int main(int argc, char **argv)
{
	struct epoll_event ev[MAX_EVENTS];

	if (argc < 2 || argc > 3) {
		fprintf(stderr, "usage: peer_epoll PORT [BUFFER]\n");
		return 64;
	}
	peer_init();
	if (argc == 3)
		buffer_size = peer_number(argv[2]);
	buffer = malloc(buffer_size);
	if (!buffer)
		peer_die("malloc");
	listen_fd = peer_listen(argv[1], SOCK_NONBLOCK);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		peer_die("epoll_create1");
	watch(EPOLL_CTL_ADD, listen_fd, EPOLLIN, NULL);
	for (;;) {
		int n = epoll_wait(epoll_fd, ev, MAX_EVENTS, paused ? PAUSE_MS : -1);

		if (n == 0)
			resume_accepting();
		for (int i = 0; i < n; i++) {
			struct conn *c = ev[i].data.ptr;

			if (!c)
				conn_accept();
			else if (c->pending)
				conn_flush(c);
			else
				conn_read(c);
		}
	}
}
