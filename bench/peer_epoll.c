/* SPDX-License-Identifier: ISC */
/* peer_epoll.c - the bare epoll echo loop that the bench compares echod's
 * iterative + epoll with: one thread, one shared read buffer, one recv and one send per
 * event.  It has no limits, timeouts, counters or logs, but it is correct: what a client
 * does not take is kept and the client is not read meanwhile, a half-close is answered
 * after the last byte, and running out of descriptors does not make it spin. */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { READ_SIZE = 256 * 1024, MAX_EVENTS = 512, BACKLOG = 511, PAUSE_MS = 100 };

struct conn {
	int fd;
	char *pending; /* what the client has not taken yet, or NULL */
	size_t len;    /* bytes of it */
	size_t off;    /* bytes of it that are sent */
};

static char buffer[READ_SIZE];
static int epoll_fd, listen_fd;
static bool paused; /* the listener is out of the poll set: no descriptors or memory */

static void die(const char *what)
{
	perror(what);
	exit(71);
}

static void watch(int op, int fd, uint32_t events, struct conn *c)
{
	struct epoll_event ev = {.events = events, .data.ptr = c};

	if (epoll_ctl(epoll_fd, op, fd, &ev) < 0)
		die("epoll_ctl");
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
	ssize_t sent, got = recv(c->fd, buffer, sizeof(buffer), 0);

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

static int listen_on(const char *port)
{
	struct sockaddr_in sin = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	/* Accepted sockets inherit TCP_NODELAY from the listener. */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&sin, sizeof(sin)) < 0 || listen(fd, BACKLOG) < 0)
		die("listen");
	return fd;
}

int main(int argc, char **argv)
{
	struct epoll_event ev[MAX_EVENTS];

	if (argc != 2) {
		fprintf(stderr, "usage: peer_epoll PORT\n");
		return 64;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	listen_fd = listen_on(argv[1]);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		die("epoll_create1");
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
