/* SPDX-License-Identifier: ISC */
/* echoc ping with datagrams.  A datagram begins with our mark and its number; one that is
 * too short for them is taken for the oldest that is waited for. */
#include "ping.h"

#include "moment.h"
#include "reply.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

enum { HEAD = 8 /* bytes: mark and number */ };

static int open_socket(struct ping *p, const char **what)
{
	struct sock_conf conf = p->conf->sock;

	conf.report_errors = true;
	do
		p->fd = sock_open(&conf, p->to, 0, what);
	while (p->fd < 0 && ping_next_address(p));
	if (p->fd < 0)
		return p->fd;
	reply_prepare(p->fd, p->to->sa.sa_family);
	sock_name(p->fd, &p->local);
	if (conf.show_options)
		sock_print_options(&conf, p->fd, stderr);
	return 0;
}

/* SEQ is not waited for any more; if its answer comes nevertheless, that is no duplicate. */
static void give_up(struct ping *p, uint32_t seq)
{
	struct ping_slot *slot = ping_slot(p, seq);

	if (slot && !slot->answered)
		slot->answered = slot->given_up = true;
}

static void send_one(struct ping *p, uint32_t seq)
{
	const char *what = "sendto";
	int r = p->fd < 0 ? open_socket(p, &what) : 0;

	if (r == 0)
		r = reply_send(p->fd, p->out, (size_t)p->conf->size, p->to);
	if (r == 0)
		return;
	p->slots[seq % PING_SLOTS].answered = true;
	ping_problem(p, seq, exits_of(r), "%s: %s", what, strerror(-r));
	if (p->fd < 0)
		p->no_more = true; /* what cannot be opened now cannot be opened later */
}

/* The number in a datagram of ours; 0 if it is none. */
static uint32_t number_of(struct ping *p, size_t size)
{
	uint32_t words[2], seq = p->oldest;

	if (size < HEAD || p->conf->size < HEAD) {
		while (seq < p->seq && ping_slot(p, seq) && ping_slot(p, seq)->answered)
			seq++; /* several may come between two looks at the time */
		return seq <= p->seq ? seq : p->seq;
	}
	memcpy(words, p->in, sizeof(words));
	if (words[0] != p->id || words[1] > p->seq)
		return 0;
	return words[1];
}

static void take_error(struct ping *p, const struct reply *r)
{
	uint32_t seq = number_of(p, r->size);
	char text[128];

	/* Whose first address is closed may be at the next. */
	if (seq == 1 && ping_next_address(p)) {
		ping_fill(p, seq);
		send_one(p, seq);
		return;
	}
	give_up(p, seq);
	reply_complaint(r, text, sizeof(text));
	if (r->mtu > 0)
		ping_problem(p, seq, exits_of(r->error), "%s (%s, MTU %u)", strerror(-r->error),
			     text, r->mtu);
	else
		ping_problem(p, seq, exits_of(r->error), "%s (%s)", strerror(-r->error), text);
}

/* What is wrong with the answer to SEQ, or NULL. */
static const char *compare(struct ping *p, uint32_t seq, size_t size, char buf[VERIFY_TEXT_MAX])
{
	struct verify v = {0};
	const char *text;

	ping_fill(p, seq);
	if (size == (size_t)p->conf->size && memcmp(p->out, p->in, size) == 0)
		return NULL;
	if (verify_sent(&v, p->out, (size_t)p->conf->size) < 0)
		return "out of memory";
	verify_got(&v, p->in, size);
	text = verify_text(&v, buf);
	verify_deinit(&v);
	return text;
}

static void take_answer(struct ping *p, const struct reply *r)
{
	uint32_t seq = number_of(p, r->size);
	char damage[VERIFY_TEXT_MAX], from[ADDRESS_TEXT_MAX];

	if (!address_equal(&r->from, p->to)) {
		p->elsewhere++;
		give_up(p, seq);
		ping_problem(p, seq, EXITS_DAMAGED, "answered from %s instead",
			     address_format(&r->from, from));
		return;
	}
	if (seq == 0) {
		/* Nobody knows which it was: it is told, and the one that it was will be missed. */
		p->damaged++;
		ping_problem(p, 0, EXITS_DAMAGED, "%zu bytes that were never sent", r->size);
		return;
	}
	ping_answered(p, seq, r->when, r->size, r->ttl, compare(p, seq, r->size, damage));
}

static void receive(struct ping *p)
{
	struct reply r;

	while (p->fd >= 0 && reply_take(p->fd, p->in, &r) == 1) {
		if (r.error != 0)
			take_error(p, &r);
		else
			take_answer(p, &r);
	}
}

static short events(const struct ping *p)
{
	(void)p;
	return POLLIN;
}

static void close_socket(struct ping *p)
{
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
}

const struct ping_way ping_dgram = {.send = send_one,
				    .receive = receive,
				    .events = events,
				    .close = close_socket};
