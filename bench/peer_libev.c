/* SPDX-License-Identifier: ISC */
/* peer_libev.c - an echo server with libev: one loop, a watcher for each client, one shared
 * read buffer.  What a client does not take is kept, and it is not read meanwhile. */
#include "peer.h"

#include <errno.h>
#include <ev.h>
#include <string.h>
#include <unistd.h>

enum { READ_SIZE = 256 * 1024 };

struct conn {
	ev_io io; /* first: libev's watcher is the connection */
	char *pending;
	size_t len, off; /* bytes of PENDING, and those of them that are sent */
};

static char buffer[READ_SIZE];

static void watch(struct ev_loop *loop, struct conn *c, int events)
{
	ev_io_stop(loop, &c->io);
	ev_io_set(&c->io, c->io.fd, events);
	ev_io_start(loop, &c->io);
}

static void conn_close(struct ev_loop *loop, struct conn *c)
{
	ev_io_stop(loop, &c->io);
	close(c->io.fd);
	free(c->pending);
	free(c);
}

/* Bytes that were sent, 0 if none can be now, or -1. */
static ssize_t try_send(int fd, const char *data, size_t len)
{
	ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);

	return sent < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : sent;
}

static void conn_read(struct ev_loop *loop, struct conn *c)
{
	ssize_t sent, got = recv(c->io.fd, buffer, sizeof(buffer), 0);

	if (got < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	sent = got > 0 ? try_send(c->io.fd, buffer, (size_t)got) : -1;
	if (sent == got)
		return;
	c->len = (size_t)(got - sent);
	c->off = 0;
	c->pending = sent >= 0 ? malloc(c->len) : NULL;
	if (!c->pending) {
		conn_close(loop, c);
		return;
	}
	memcpy(c->pending, buffer + sent, c->len);
	watch(loop, c, EV_WRITE);
}

static void conn_flush(struct ev_loop *loop, struct conn *c)
{
	ssize_t sent = try_send(c->io.fd, c->pending + c->off, c->len - c->off);

	if (sent < 0) {
		conn_close(loop, c);
		return;
	}
	c->off += (size_t)sent;
	if (c->off < c->len)
		return;
	free(c->pending);
	c->pending = NULL;
	watch(loop, c, EV_READ);
}

static void on_client(struct ev_loop *loop, ev_io *io, int events)
{
	struct conn *c = (struct conn *)io;

	(void)events;
	if (c->pending)
		conn_flush(loop, c);
	else
		conn_read(loop, c);
}

static void on_listener(struct ev_loop *loop, ev_io *io, int events)
{
	struct conn *c;
	int fd;

	(void)events;
	while ((fd = accept4(io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		c = calloc(1, sizeof(*c));
		if (!c) {
			close(fd);
			return;
		}
		ev_io_init(&c->io, on_client, fd, EV_READ);
		ev_io_start(loop, &c->io);
	}
}

int main(int argc, char **argv)
{
	struct ev_loop *loop = ev_default_loop(EVBACKEND_EPOLL);
	ev_io listener;

	if (argc != 2 || !loop) {
		fprintf(stderr, "usage: peer_libev PORT\n");
		return 64;
	}
	peer_init();
	ev_io_init(&listener, on_listener, peer_listen(argv[1], SOCK_NONBLOCK), EV_READ);
	ev_io_start(loop, &listener);
	ev_run(loop, 0);
}
