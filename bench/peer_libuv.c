/* SPDX-License-Identifier: ISC */
/* peer_libuv.c - an echo server with libuv: one shared read buffer, an attempt to send at
 * once (uv_try_write), and what a client does not take is kept and queued; it is not read
 * meanwhile. */
#include "peer.h"

#include <string.h>
#include <uv.h>

enum { READ_SIZE = 256 * 1024 };

struct conn {
	uv_tcp_t tcp; /* first: libuv's handle is the connection */
	uv_write_t write;
	char *pending;
};

static char buffer[READ_SIZE];

static void on_closed(uv_handle_t *handle)
{
	struct conn *c = (struct conn *)handle;

	free(c->pending);
	free(c);
}

static void conn_close(struct conn *c)
{
	if (!uv_is_closing((uv_handle_t *)&c->tcp))
		uv_close((uv_handle_t *)&c->tcp, on_closed);
}

static void lend_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	(void)handle;
	(void)suggested;
	*buf = uv_buf_init(buffer, sizeof(buffer));
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf);

static void on_written(uv_write_t *write, int status)
{
	struct conn *c = write->data;

	free(c->pending);
	c->pending = NULL;
	if (status < 0 || uv_read_start((uv_stream_t *)&c->tcp, lend_buffer, on_read) < 0)
		conn_close(c);
}

static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
	struct conn *c = (struct conn *)stream;
	uv_buf_t rest = uv_buf_init(buf->base, got > 0 ? (unsigned)got : 0);
	int sent;

	if (got == 0)
		return;
	sent = got > 0 ? uv_try_write(stream, &rest, 1) : (int)got;
	if (sent == got && got > 0)
		return;
	if (sent == UV_EAGAIN)
		sent = 0;
	rest.len -= sent > 0 ? (unsigned)sent : 0;
	c->pending = sent >= 0 ? malloc(rest.len) : NULL;
	if (!c->pending) {
		conn_close(c);
		return;
	}
	memcpy(c->pending, buf->base + sent, rest.len);
	rest.base = c->pending;
	uv_read_stop(stream);
	c->write.data = c;
	if (uv_write(&c->write, stream, &rest, 1, on_written) < 0)
		conn_close(c);
}

static void on_connection(uv_stream_t *listener, int status)
{
	struct conn *c = status == 0 ? calloc(1, sizeof(*c)) : NULL;

	if (!c)
		return;
	uv_tcp_init(listener->loop, &c->tcp);
	if (uv_accept(listener, (uv_stream_t *)&c->tcp) < 0 ||
	    uv_read_start((uv_stream_t *)&c->tcp, lend_buffer, on_read) < 0)
		conn_close(c);
}

int main(int argc, char **argv)
{
	uv_loop_t *loop = uv_default_loop();
	uv_tcp_t listener;

	if (argc != 2 || !loop) {
		fprintf(stderr, "usage: peer_libuv PORT\n");
		return 64;
	}
	peer_init();
	uv_tcp_init(loop, &listener);
	if (uv_tcp_open(&listener, peer_listen(argv[1], SOCK_NONBLOCK)) < 0 ||
	    uv_listen((uv_stream_t *)&listener, 511, on_connection) < 0)
		peer_die("listen");
	return uv_run(loop, UV_RUN_DEFAULT);
}
