/* SPDX-License-Identifier: ISC */
/* Datagrams under load: each is a message that says by its first word which one it is, so that
 * loss, repetition and overtaking are told apart, and none of them is called damage. */
#include "load_conn.h"

#include "moment.h"
#include "pattern.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

enum { PULLS = 64 /* datagrams that one socket is given at once */ };

static struct load_message *flight(struct load_thread *t, struct load_conn *c, uint32_t i)
{
	return &c->ring[(c->head + i) & t->shared->ring_mask];
}

void load_dgram_push(struct load_thread *t, struct load_conn *c)
{
	while (c->unsent > 0) {
		const struct load_message *m = flight(t, c, c->in_flight - c->unsent);
		size_t len = m->end - m->begin;

		pattern_fill(t->out, c->stream, m->begin, len);
		if (send(c->fd, t->out, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
			if (errno == EAGAIN || errno == ENOBUFS || errno == EINTR)
				break;
			/* ICMP answered an earlier one: this one was not sent. */
			if (errno == ECONNREFUSED)
				t->counts.failures[LOAD_REFUSED]++;
			else
				load_conn_fail_errno(t, c, errno);
			break;
		}
		c->unsent--;
		c->sent = m->end;
	}
	if (c->fd >= 0)
		load_conn_watch(t, c, c->unsent > 0);
}

/* Forget the oldest ones as far as they are done. */
static void settle(struct load_thread *t, struct load_conn *c)
{
	while (c->in_flight > c->unsent && flight(t, c, 0)->done)
		load_message_pop(t, c);
}

static bool is(struct load_thread *t, const struct load_conn *c, const struct load_message *m,
	       size_t n)
{
	return !m->done && m->end - m->begin == n && pattern_check(t->in, c->stream, m->begin, n);
}

/* Which message in flight are these N bytes, in whole?  Those of less than a word do not tell. */
static struct load_message *match(struct load_thread *t, struct load_conn *c, size_t n)
{
	for (uint32_t i = 0; i < c->in_flight - c->unsent; i++) {
		struct load_message *m = flight(t, c, i);

		if (!is(t, c, m, n))
			continue;
		/* One that overtakes what is lost, or late, does not know which. */
		if (m->begin < c->newest)
			t->counts.reordered++;
		else
			c->newest = m->begin;
		return m;
	}
	return NULL;
}

/* The message of another stream came to C. */
static void foreign(struct load_thread *t, struct load_conn *c, uint32_t stream, uint64_t place,
		    size_t n)
{
	struct damage d = {.kind = DAMAGE_FOREIGN,
			   .stream = c->stream,
			   .length = n,
			   .other_stream = stream,
			   .other_at = place};

	d.at = c->in_flight > c->unsent ? flight(t, c, 0)->begin : c->sent;
	load_damage(t, c, &d);
}

/* A datagram that is none of those in flight: one of earlier, or damaged. */
static void judge(struct load_thread *t, struct load_conn *c, size_t n)
{
	struct damage_world world = load_world(t);
	struct load_message *m = c->in_flight > c->unsent ? flight(t, c, 0) : NULL;
	uint32_t stream = 0;
	uint64_t place = 0;
	struct damage d;

	if (n >= 8)
		pattern_locate((const uint8_t *)t->in, &stream, &place);
	if (stream != c->stream && stream >= world.first && stream < world.end &&
	    place < world.limit) {
		foreign(t, c, stream, place, n);
		return;
	}
	if (stream == c->stream && place < c->target)
		m = load_message_at(t, c, place);
	if (!m || m->done) {
		t->counts.duplicated++;
		return;
	}
	d = damage_find((const uint8_t *)t->in, n, c->stream, m->begin, m->end, &world);
	if (d.kind == DAMAGE_NONE) {
		d.kind = DAMAGE_CUT;
		d.at = m->begin + n;
		d.length = m->end - d.at;
	}
	load_damage(t, c, &d);
	m->done = true;
	settle(t, c);
}

void load_dgram_pull(struct load_thread *t, struct load_conn *c)
{
	for (int i = 0; i < PULLS; i++) {
		ssize_t n = recv(c->fd, t->in, LOAD_CHUNK, MSG_DONTWAIT);
		struct load_message *m;

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0 && errno == ECONNREFUSED) {
			t->counts.failures[LOAD_REFUSED]++;
			return;
		}
		if (n < 0) {
			load_conn_fail_errno(t, c, errno);
			return;
		}
		m = match(t, c, (size_t)n);
		if (!m) {
			judge(t, c, (size_t)n);
			continue;
		}
		load_message_done(t, c, m);
		settle(t, c);
		if (c->in_flight == 0)
			return; /* most often: the call that says EAGAIN is saved */
	}
}

void load_dgram_give_up(struct load_thread *t, struct load_conn *c)
{
	if (atomic_load_explicit(&t->shared->stop, memory_order_relaxed))
		return; /* nobody had the patience to wait for them */
	for (uint32_t i = 0; i < c->in_flight - c->unsent; i++)
		if (!flight(t, c, i)->done)
			t->counts.lost++;
}

void load_dgram_expire(struct load_thread *t, struct load_conn *c)
{
	bool any = false;

	while (c->in_flight > c->unsent && t->now - flight(t, c, 0)->taken > t->conf->timeout) {
		if (!flight(t, c, 0)->done)
			t->counts.lost++;
		load_message_pop(t, c);
		any = true;
	}
	if (any)
		load_conn_refill(t, c);
}
