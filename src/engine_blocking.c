/* SPDX-License-Identifier: ISC */
/* The textbook's engine: one client at a time, from its accept to its end; the others wait
 * in the backlog.  Sockets are non-blocking all the same and every wait is a poll(2) that
 * also watches the leash: a client that says nothing cannot keep a worker from stopping. */
#include "engines.h"

#include "acceptor.h"
#include "conf.h"
#include "conn.h"
#include "dgram.h"
#include "executor.h"
#include "sandbox_calls.h"
#include "worker.h"

#include <poll.h>

enum { BATCH = 64 /* datagrams between two looks at the leash */ };

static void blocking_echo(struct executor *ex, const struct client *client)
{
	enum conn_want want;
	struct conn c;

	conn_open(&c, ex, client);
	want = conn_step(&c, ex); /* the first bytes are often there already */
	while (want != CONN_CLOSED) {
		short events = want == CONN_READ ? POLLIN : POLLOUT;
		uint64_t deadline = conn_deadline(&c, ex);
		bool ready = executor_wait(ex, c.fd, events, deadline);

		/* A client that sends faster than we echo is always ready: that puts nothing off. */
		if (ex->leaving)
			want = conn_close(&c, ex, C_CLOSED_DRAIN);
		else if (ready)
			want = conn_step(&c, ex);
		if (want != CONN_CLOSED && ex->now >= deadline)
			want = conn_expire(&c, ex);
	}
}

static int serve_streams(struct executor *ex)
{
	struct acceptor a;
	struct client client;
	int r = acceptor_init(&a, ex);

	if (r < 0)
		return r;
	executor_up(ex);
	while (acceptor_wait(&a, &client) == ACCEPT_CLIENT) {
		blocking_echo(ex, &client);
		acceptor_left(&a);
	}
	executor_deaf(ex);
	acceptor_deinit(&a);
	return 0;
}

static int serve_datagrams(struct executor *ex)
{
	struct acceptor a;
	struct dgram d;
	size_t i;
	int r = dgram_init(&d, ex);

	if (r < 0)
		return r;
	r = acceptor_init(&a, ex);
	if (r == 0) {
		executor_up(ex);
		while (acceptor_ready(&a, &i) == ACCEPT_CLIENT) {
			dgram_answer(&d, i, BATCH);
			if (d.error)
				acceptor_rest(&a, d.error);
		}
		dgram_finish(&d);
		executor_deaf(ex);
		acceptor_deinit(&a);
	}
	dgram_deinit(&d);
	return r;
}

static int blocking_serve(struct executor *ex)
{
	return protocols[ex->worker->conf->protocol].stream ? serve_streams(ex)
							    : serve_datagrams(ex);
}

const struct engine engine_blocking = {
	.name = "blocking",
	.text = "one client at a time, as in the textbook",
	.serve = blocking_serve,
	.echo = blocking_echo,
	.calls = CALLS_BLOCKING,
};
