/* SPDX-License-Identifier: ISC */
/* echoc ping: the schedule, and what becomes of each message. */
#include "ping.h"

#include "interrupt.h"
#include "moment.h"
#include "reply.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

struct ping_slot *ping_slot(struct ping *p, uint32_t seq)
{
	struct ping_slot *slot = &p->slots[seq % PING_SLOTS];

	return seq != 0 && slot->seq == seq ? slot : NULL;
}

void ping_fill(struct ping *p, uint32_t seq)
{
	size_t size = (size_t)p->conf->size, head = size < 8 ? size : 8;
	uint32_t x = seq * 2654435761u ^ p->id, words[2] = {p->id, seq};

	/* Every message differs from every other in nearly all of its bytes. */
	for (size_t i = head; i < size; i++) {
		x = x * 1664525 + 1013904223;
		p->out[i] = (char)(x >> 24);
	}
	memcpy(p->out, words, head);
}

void ping_answered(struct ping *p, uint32_t seq, int64_t now, size_t size, int ttl,
		   const char *damage)
{
	struct ping_slot *slot = ping_slot(p, seq);
	const char *note = "";

	if (!slot || (slot->answered && !slot->given_up)) {
		p->duplicated++;
		ping_report_answer(p, seq, slot ? now - slot->sent : -1, size, ttl, " (duplicate)");
		return;
	}
	slot->answered = true;
	slot->given_up = false;
	p->received++;
	hist_add(p->rtt, (uint64_t)(now - slot->sent));
	if (slot->late)
		note = " (late)";
	if (seq < p->highest) {
		p->reordered++;
		note = " (reordered)";
	} else {
		p->highest = seq;
	}
	ping_report_answer(p, seq, now - slot->sent, size, ttl, note);
	if (damage) {
		p->damaged++;
		ping_problem(p, seq, EXITS_DAMAGED, "damaged: %s", damage);
	}
}

void ping_lost(struct ping *p, uint32_t seq)
{
	while (++seq <= p->seq) {
		const struct ping_slot *slot = ping_slot(p, seq);

		if (slot && !slot->answered && !slot->late && slot->end > 0)
			ping_report_lost(p, seq);
	}
}

bool ping_next_address(struct ping *p)
{
	if (p->received > 0 || p->address + 1 >= p->target->n)
		return false;
	p->way->close(p);
	p->to = &p->target->addresses[++p->address];
	return true;
}

/* Messages whose time is over. */
static void expire(struct ping *p, int64_t now)
{
	while (p->oldest <= p->seq) {
		struct ping_slot *slot = ping_slot(p, p->oldest);

		if (slot && !slot->answered && now - slot->sent < p->conf->timeout)
			return;
		p->oldest++;
		if (!slot || slot->answered)
			continue;
		slot->late = true;
		/* A part of it that came says more than silence. */
		if (slot->end > 0 && p->verify.next < slot->end &&
		    p->verify.next + (uint64_t)p->conf->size > slot->end) {
			p->damaged++;
			ping_problem(p, slot->seq, EXITS_DAMAGED,
				     "damaged: cut at %zu of %zu bytes",
				     (size_t)(p->verify.next + (uint64_t)p->conf->size - slot->end),
				     (size_t)p->conf->size);
			ping_lost(p, slot->seq);
			p->way->close(p); /* nothing that follows would be where it belongs */
		} else {
			ping_problem(p, slot->seq, EXITS_TIMEOUT, "no answer within %.3g s",
				     (double)p->conf->timeout / MOMENT_S);
		}
		if (p->conf->connect_each)
			p->way->close(p);
	}
}

static bool may_send(const struct ping *p)
{
	if (p->seq >= p->conf->count)
		return false;
	return !p->conf->connect_each || p->oldest > p->seq;
}

static void send_next(struct ping *p)
{
	uint32_t seq = ++p->seq;

	p->slots[seq % PING_SLOTS] = (struct ping_slot){.seq = seq, .sent = moment_now()};
	p->sent++;
	ping_fill(p, seq);
	p->way->send(p, seq);
}

/* Skip what is answered, so that the wait is for something that may come. */
static void advance(struct ping *p)
{
	const struct ping_slot *slot;

	while (p->oldest <= p->seq && (slot = ping_slot(p, p->oldest)) && slot->answered)
		p->oldest++;
}

static int64_t wake_at(struct ping *p, int64_t next)
{
	int64_t until = may_send(p) ? next : MOMENT_NEVER;
	const struct ping_slot *slot = p->oldest <= p->seq ? ping_slot(p, p->oldest) : NULL;

	if (slot && slot->sent + p->conf->timeout < until)
		until = slot->sent + p->conf->timeout;
	return p->end < until ? p->end : until;
}

static void loop(struct ping *p)
{
	int64_t now = moment_now(), next = now;

	p->end = p->conf->deadline > 0 ? now + p->conf->deadline : MOMENT_NEVER;
	while (!interrupt_seen() && !p->no_more) {
		int r;

		now = moment_now();
		expire(p, now);
		if (now >= p->end)
			return;
		if (may_send(p) && now >= next) {
			/* A schedule that cannot be kept is not made up for in a burst. */
			next = next + p->conf->interval < now ? now : next;
			next += p->conf->interval;
			send_next(p);
		}
		advance(p);
		if (p->oldest > p->seq && p->seq >= p->conf->count)
			return;
		r = moment_poll(p->fd, p->fd >= 0 ? p->way->events(p) : 0, wake_at(p, next));
		if (r > 0)
			p->way->receive(p);
	}
}

int ping_run(struct ping *p)
{
	size_t room = (size_t)p->conf->size > REPLY_MAX ? (size_t)p->conf->size : REPLY_MAX;

	p->slots = calloc(PING_SLOTS, sizeof(*p->slots));
	p->out = malloc(room);
	p->in = malloc(room);
	p->rtt = hist_new();
	p->connect = hist_new();
	if (!p->slots || !p->out || !p->in || !p->rtt || !p->connect)
		return -ENOMEM;
	if (getrandom(&p->id, sizeof(p->id), 0) != sizeof(p->id))
		p->id = (uint32_t)moment_now();
	p->oldest = 1;
	p->fd = -1;
	p->to = &p->target->addresses[0];
	p->way = protocols[p->conf->sock.protocol].stream ? &ping_stream : &ping_dgram;
	interrupt_catch();
	ping_report_begin(p);
	p->began = moment_now();
	loop(p);
	p->ended = moment_now();
	p->way->close(p);
	return 0;
}

void ping_deinit(struct ping *p)
{
	verify_deinit(&p->verify);
	free(p->slots);
	free(p->out);
	free(p->in);
	free(p->rtt);
	free(p->connect);
}
