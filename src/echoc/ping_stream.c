/* SPDX-License-Identifier: ISC */
/* echoc ping over a stream: one connection that stays, or one for each message.  The messages
 * are one stream of bytes, and so are their echoes; a message is answered when its last byte
 * is back. */
#include "ping.h"

#include "moment.h"
#include "reply.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { PROBE_MS = 200 /* how long is waited for bytes that help to name damage */ };

/* Close it; what is on the way is lost. */
static void close_connection(struct ping *p)
{
	for (uint32_t seq = p->highest + 1; seq <= p->seq; seq++) {
		struct ping_slot *slot = ping_slot(p, seq);

		if (slot && slot->end > 0)
			slot->answered = true;
	}
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
	p->out_size = p->out_at = 0;
	p->stream = 0;
	verify_deinit(&p->verify);
}

static int open_connection(struct ping *p, const char **what)
{
	int64_t before = moment_now(), until = before + p->conf->timeout, took;

	p->fd = sock_connect(&p->conf->sock, p->to, until < p->end ? until : p->end, what);
	if (p->fd < 0)
		return p->fd;
	took = moment_now() - before;
	hist_add(p->connect, (uint64_t)took);
	p->last_connect = took;
	sock_name(p->fd, &p->local);
	p->connections++;
	ping_report_connected(p, took);
	if (p->conf->sock.show_options && p->connections == 1)
		sock_print_options(&p->conf->sock, p->fd, stderr);
	return 0;
}

static void write_more(struct ping *p)
{
	while (p->out_at < p->out_size) {
		ssize_t n = send(p->fd, p->out + p->out_at, p->out_size - p->out_at, MSG_NOSIGNAL);

		if (n < 0)
			return; /* full, or broken: receiving will tell */
		p->out_at += (size_t)n;
	}
}

static void send_one(struct ping *p, uint32_t seq)
{
	struct ping_slot *slot = ping_slot(p, seq);
	const char *what = "connect";
	int r = 0;

	if (p->fd < 0) {
		do
			r = open_connection(p, &what);
		while (r < 0 && r != -EINTR && p->connections == 0 && ping_next_address(p));
		slot->sent = moment_now(); /* the echo's time is counted apart */
	}
	if (r < 0) {
		slot->answered = true;
		if (r == -EINTR)
			p->sent--;
		else
			ping_problem(p, seq, exits_of(r), "%s: %s", what, strerror(-r));
		return;
	}
	if (p->out_at < p->out_size) {
		ping_fill(p, seq - 1); /* what is half written stays */
		ping_problem(p, seq, EXITS_TIMEOUT, "not sent: the connection takes no more");
		slot->answered = true;
		return;
	}
	if (verify_sent(&p->verify, p->out, (size_t)p->conf->size) < 0)
		p->no_more = true;
	p->stream += (uint64_t)p->conf->size;
	slot->end = p->stream;
	p->out_at = 0;
	p->out_size = (size_t)p->conf->size;
	write_more(p);
}

/* Every message whose last byte is back. */
static void complete(struct ping *p, int64_t now)
{
	for (uint32_t seq = p->highest + 1; seq <= p->seq; seq++) {
		const struct ping_slot *slot = ping_slot(p, seq);

		if (!slot || slot->answered || slot->end == 0)
			continue;
		if (slot->end > p->verify.next)
			return;
		ping_answered(p, seq, now, (size_t)p->conf->size, -1, NULL);
		if (p->conf->connect_each) {
			close_connection(p);
			return;
		}
	}
}

/* The oldest message that this connection owes an answer to. */
static uint32_t owed(struct ping *p)
{
	for (uint32_t seq = p->highest + 1; seq <= p->seq; seq++) {
		const struct ping_slot *slot = ping_slot(p, seq);

		if (slot && !slot->answered && slot->end > p->verify.next)
			return seq;
	}
	return p->seq;
}

/* Collect what helps to name the damage, name it, and begin anew. */
static void damage(struct ping *p)
{
	int64_t until = moment_now() + PROBE_MS * (int64_t)MOMENT_MS;
	char text[VERIFY_TEXT_MAX];
	uint32_t seq = owed(p);
	const struct ping_slot *slot = ping_slot(p, seq);

	while (p->verify.n_probe < sizeof(p->verify.probe) &&
	       moment_poll(p->fd, POLLIN, until) > 0) {
		ssize_t n = recv(p->fd, p->in, REPLY_MAX, 0);

		if (n <= 0)
			break;
		verify_got(&p->verify, p->in, (size_t)n);
	}
	p->damaged++;
	/* Missing up to the end of its message: a buffer was too small for it. */
	if (slot && slot->end > p->verify.bad &&
	    verify_missing(&p->verify) == slot->end - p->verify.bad)
		ping_problem(p, seq, EXITS_DAMAGED,
			     "damaged: cut at %" PRIu64 " of %" PRId64 " bytes",
			     p->verify.bad + (uint64_t)p->conf->size - slot->end, p->conf->size);
	else
		ping_problem(p, seq, EXITS_DAMAGED, "damaged: %s", verify_text(&p->verify, text));
	ping_lost(p, seq);
	close_connection(p);
}

/* End of file, or an error. */
static void broken(struct ping *p, int error)
{
	uint32_t seq = owed(p);
	const struct ping_slot *slot = ping_slot(p, seq);
	uint64_t size = (uint64_t)p->conf->size;
	bool waiting = slot && !slot->answered;
	uint64_t part = waiting && p->verify.next + size > slot->end
				? p->verify.next + size - slot->end
				: 0;

	if (error == 0 && part > 0) {
		p->damaged++;
		ping_problem(p, seq, EXITS_DAMAGED,
			     "damaged: cut at %" PRIu64 " of %" PRIu64
			     " bytes: the far side closed",
			     part, size);
	} else {
		ping_problem(p, waiting ? seq : 0, error ? exits_of(error) : EXITS_DAMAGED, "%s",
			     error ? strerror(-error) : "the far side closed the connection");
	}
	ping_lost(p, seq);
	close_connection(p);
}

static void receive(struct ping *p)
{
	ssize_t n;

	if (p->out_at < p->out_size)
		write_more(p);
	n = recv(p->fd, p->in, REPLY_MAX, 0);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		broken(p, n < 0 ? -errno : 0);
		return;
	}
	if (verify_got(&p->verify, p->in, (size_t)n)) {
		complete(p, moment_now());
		return;
	}
	complete(p, moment_now());
	if (p->fd >= 0)
		damage(p);
}

static short events(const struct ping *p)
{
	return (short)(POLLIN | (p->out_at < p->out_size ? POLLOUT : 0));
}

const struct ping_way ping_stream = {.send = send_one,
				     .receive = receive,
				     .events = events,
				     .close = close_connection};
