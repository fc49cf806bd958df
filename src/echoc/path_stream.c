/* SPDX-License-Identifier: ISC */
/* What a path does to connections: half-close, and long silence. */
#include "interrupt.h"
#include "moment.h"
#include "path.h"

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { TRANSFER = 256 << 10 /* bytes */, PIECE = 16 << 10 };

/* What became of one transfer. */
struct transfer {
	size_t sent, got; /* bytes */
	bool changed;     /* what came is not what was sent */
	bool end;         /* the far side's end of file came */
	int error;        /* -errno */
	int state;        /* TCP's, when the waiting was over */
};

static char byte_at(size_t i)
{
	return (char)((i * 2654435761u) >> 13);
}

static void send_piece(int fd, struct transfer *t)
{
	char data[PIECE];
	size_t n = TRANSFER - t->sent < PIECE ? TRANSFER - t->sent : PIECE;
	ssize_t r;

	for (size_t i = 0; i < n; i++)
		data[i] = byte_at(t->sent + i);
	r = send(fd, data, n, MSG_NOSIGNAL);
	if (r > 0)
		t->sent += (size_t)r;
	else if (errno == EPIPE)
		t->end = true;
	else if (errno != EAGAIN)
		t->error = -errno;
}

static void take_piece(int fd, struct transfer *t)
{
	char data[PIECE];
	ssize_t n = recv(fd, data, sizeof(data), 0);

	if (n < 0 && errno != EAGAIN)
		t->error = -errno;
	if (n == 0)
		t->end = true;
	for (ssize_t i = 0; i < n; i++)
		t->changed |= data[i] != byte_at(t->got + (size_t)i);
	if (n > 0)
		t->got += (size_t)n;
}

/* Send TRANSFER bytes and, if HALF_CLOSE, shut down; read what comes.  Returns 0 or -errno
 * of connecting. */
static int transfer(const struct path *p, bool half_close, struct transfer *t)
{
	struct sock_conf conf = path_stream_conf(p);
	struct tcp_info info;
	socklen_t size = sizeof(info);
	bool shut = false;
	const char *what;
	int fd = sock_connect(&conf, p->tcp, moment_now() + p->conf->timeout, &what);

	*t = (struct transfer){.state = 0};
	if (fd < 0)
		return fd;
	while (!t->end && t->error == 0 && (half_close || t->got < TRANSFER)) {
		short events = (short)(POLLIN | (t->sent < TRANSFER ? POLLOUT : 0));
		int r = moment_poll(fd, events, moment_now() + p->conf->timeout);

		if (r <= 0)
			break;
		if (r & POLLOUT && t->sent < TRANSFER)
			send_piece(fd, t);
		if (half_close && !shut && t->sent == TRANSFER)
			shut = shutdown(fd, SHUT_WR) == 0;
		if (r & ~POLLOUT)
			take_piece(fd, t);
	}
	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) == 0)
		t->state = info.tcpi_state;
	close(fd);
	return 0;
}

/* The far side's behaviour without half-close, to tell whose fault it is. */
static const char *control(const struct path *p)
{
	struct transfer t;

	if (transfer(p, false, &t) < 0 || t.error != 0 || t.changed || t.got != TRANSFER)
		return "; without half-close it fails, too";
	return "; without half-close all comes back";
}

void path_check_half_close(struct path *p, struct verdict *v)
{
	struct transfer t;
	int r = transfer(p, true, &t);

	if (r < 0) {
		path_say(v, PATH_BROKEN, "connect: %s", strerror(-r));
		v->code = exits_of(r);
		return;
	}
	json_object_set_new(v->details, "sent", json_integer((json_int_t)t.sent));
	json_object_set_new(v->details, "received", json_integer((json_int_t)t.got));
	if (t.changed)
		path_say(v, PATH_BROKEN, "what comes back is not what was sent%s", control(p));
	else if (t.error != 0)
		path_say(v, PATH_BROKEN,
			 "the far side resets at our FIN: %zu of %zu bytes came back (%s)%s", t.got,
			 t.sent, strerror(-t.error), control(p));
	else if (t.got == TRANSFER && t.end)
		path_say(v, PATH_OK, "%d bytes sent, FIN; all of them came back, then FIN",
			 TRANSFER);
	else if (t.end)
		path_say(v, PATH_BROKEN,
			 "the far side closes both ways at our FIN: %zu of %d bytes came back%s",
			 t.got, TRANSFER, control(p));
	else if (t.state == TCP_FIN_WAIT1 && t.got < t.sent)
		path_say(v, PATH_BROKEN,
			 "the far side stopped taking: %zu bytes sent, %zu came back, our FIN is "
			 "not acknowledged%s",
			 t.sent, t.got, control(p));
	else if (t.state == TCP_FIN_WAIT1)
		path_say(v, PATH_BROKEN, "our FIN was never acknowledged: it is lost on the way");
	else if (t.got == TRANSFER)
		path_say(v, PATH_DEGRADED,
			 "all came back, the far side has our FIN, but sends none within %.3g s",
			 (double)p->conf->timeout / MOMENT_S);
	else
		path_say(v, PATH_BROKEN,
			 "the far side has our FIN and falls silent: %zu of %zu bytes came back%s",
			 t.got, t.sent, control(p));
}

/* What becomes of a connection that is silent for a while. */
enum fate { ALIVE, CLOSED, RESET, SILENT, RESET_LATER, FAILED };

static enum fate rest(const struct path *p, int64_t idle, int64_t *when)
{
	struct sock_conf conf = path_stream_conf(p);
	int64_t began, r;
	const char *what;
	char byte;
	int fd = sock_connect(&conf, p->tcp, moment_now() + p->conf->timeout, &what), ready;
	enum fate fate = FAILED;

	if (fd < 0)
		return FAILED;
	if (path_message(fd, 8, p->conf->timeout) < 0)
		goto out;
	began = moment_now();
	ready = moment_poll(fd, POLLIN, began + idle);
	*when = moment_now() - began;
	if (ready < 0)
		goto out;
	if (ready > 0) {
		fate = recv(fd, &byte, 1, 0) == 0 ? CLOSED : RESET;
		goto out;
	}
	r = path_message(fd, 8, p->conf->timeout);
	fate = r >= 0 ? ALIVE : r == -ETIMEDOUT ? SILENT : r == -EINTR ? FAILED : RESET_LATER;
out:
	close(fd);
	return fate;
}

/* Narrow down the time after which it is forgotten; what is known: it lives LOW ns and is
 * gone after HIGH. */
static void bisect(const struct path *p, int64_t *low, int64_t *high)
{
	int64_t step = *high / 16 > MOMENT_S / 8 ? *high / 16 : MOMENT_S / 8, when;

	while (*high - *low > step) {
		int64_t middle = *low + (*high - *low) / 2;
		enum fate fate = rest(p, middle, &when);

		if (fate == FAILED)
			return;
		if (fate == ALIVE)
			*low = middle;
		else
			*high = middle;
	}
}

void path_check_idle(struct path *p, struct verdict *v)
{
	int64_t low = 0, high = p->conf->max_idle, when = 0;
	enum fate fate = rest(p, high, &when);
	double max = (double)high / MOMENT_S;

	if (fate == SILENT || fate == RESET_LATER)
		bisect(p, &low, &high);
	json_object_set_new(v->details, "max_seconds", json_real(max));
	switch (fate) {
	case ALIVE:
		path_say(v, PATH_OK,
			 "a connection lives through %.3g s of silence (--max for more)", max);
		return;
	case CLOSED:
	case RESET:
		path_say(v, PATH_DEGRADED, "after %.2f s of silence the far side %s",
			 (double)when / MOMENT_S, fate == CLOSED ? "closes (FIN)" : "resets");
		json_object_set_new(v->details, "seconds", json_real((double)when / MOMENT_S));
		return;
	case FAILED:
		path_say(v, PATH_UNKNOWN, "%s",
			 interrupt_seen() ? "interrupted" : "no echo at the begin");
		return;
	default:
		path_say(
			v, fate == SILENT ? PATH_BROKEN : PATH_DEGRADED,
			"forgotten after %.2f to %.2f s of silence, %s; keep-alive must be shorter",
			(double)low / MOMENT_S, (double)high / MOMENT_S,
			fate == SILENT ? "and nobody says so" : "told with a reset");
		json_object_set_new(v->details, "seconds_at_least",
				    json_real((double)low / MOMENT_S));
		json_object_set_new(v->details, "seconds_at_most",
				    json_real((double)high / MOMENT_S));
	}
}
