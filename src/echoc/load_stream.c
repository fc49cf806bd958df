/* SPDX-License-Identifier: ISC */
/* Streams under load: send, receive, verify.  The good path is one comparison; at the first
 * wrong byte the connection is given up, what still comes is collected for a moment, and then
 * the damage is named from it. */
#include "load_conn.h"

#include "moment.h"
#include "pattern.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

void load_stream_push(struct load_thread *t, struct load_conn *c)
{
	c->unsent = 0; /* streams count bytes */
	while (c->sent < c->target) {
		uint64_t len = c->target - c->sent;
		ssize_t n;

		if (len > LOAD_CHUNK)
			len = LOAD_CHUNK;
		pattern_fill(t->out, c->stream, c->sent, len);
		n = send(c->fd, (char *)t->out + (c->sent & 7), len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN && errno != EINTR) {
			load_conn_fail_errno(t, c, errno);
			return;
		}
		if (n > 0)
			c->sent += (uint64_t)n;
		if (n < 0 || (uint64_t)n < len)
			break;
	}
	load_conn_watch(t, c, c->sent < c->target);
}

/* From here on the connection's bytes are wrong: keep them for the autopsy. */
static void suspect(struct load_thread *t, struct load_conn *c, const void *bytes, size_t len)
{
	c->autopsy = malloc(LOAD_AUTOPSY);
	if (!c->autopsy) {
		load_conn_fail(t, c, LOAD_LOCAL);
		return;
	}
	if (len > LOAD_AUTOPSY)
		len = LOAD_AUTOPSY;
	memcpy(c->autopsy, bytes, len);
	c->autopsy_len = len;
	c->state = LOAD_DAMAGED;
	c->active = t->now;
	load_conn_watch(t, c, false);
}

/* More of a damaged stream. */
static void collect(struct load_thread *t, struct load_conn *c)
{
	size_t room = LOAD_AUTOPSY - c->autopsy_len;
	ssize_t n = recv(c->fd, c->autopsy + c->autopsy_len, room, MSG_DONTWAIT);

	if (n > 0) {
		c->autopsy_len += (size_t)n;
		c->active = t->now;
	}
	if (n == 0 || (size_t)n == room || (n < 0 && errno != EAGAIN && errno != EINTR))
		load_stream_conclude(t, c);
}

void load_stream_conclude(struct load_thread *t, struct load_conn *c)
{
	struct damage_world world = load_world(t);
	struct damage d = damage_find(c->autopsy, c->autopsy_len, c->stream, c->received, c->sent,
				      &world);

	load_damage(t, c, &d);
	load_conn_close(t, c);
	c->retry = t->now + 100 * MOMENT_MS;
}

/* No more comes: bytes C->RECEIVED to the end of what was sent are missing.  Within a message
 * that is damage; before one it is WHY. */
static void ended(struct load_thread *t, struct load_conn *c, enum load_failure why)
{
	const struct load_message *m = load_message_at(t, c, c->received);
	struct damage d = {.kind = DAMAGE_CUT, .stream = c->stream, .at = c->received};

	if (!m || c->received == m->begin || c->sent < m->end) {
		load_conn_fail(t, c, why);
		return;
	}
	d.length = m->end - c->received;
	load_damage(t, c, &d);
	load_conn_close(t, c);
	c->retry = t->now + 100 * MOMENT_MS;
}

void load_stream_stalled(struct load_thread *t, struct load_conn *c)
{
	load_conn_waited(t, c);
	ended(t, c, LOAD_TIMEOUT);
}

/* All that was sent is back, and no more will be: so says our FIN. */
static void finish(struct load_thread *t, struct load_conn *c)
{
	load_conn_watch(t, c, false);
	c->state = LOAD_FIN;
	c->active = t->now;
	shutdown(c->fd, SHUT_WR);
}

static void take(struct load_thread *t, struct load_conn *c, size_t n)
{
	c->received += n;
	c->active = t->now;
	while (c->in_flight > 0) {
		struct load_message *m = &c->ring[c->head];

		if (m->end > c->received)
			return;
		load_message_done(t, c, m);
		load_message_pop(t, c);
	}
	if (t->connect_each)
		finish(t, c);
}

void load_stream_pull(struct load_thread *t, struct load_conn *c)
{
	uint64_t shift = c->received & 7;
	ssize_t n;

	if (c->state == LOAD_DAMAGED) {
		collect(t, c);
		return;
	}
	n = recv(c->fd, (char *)t->in + shift, LOAD_CHUNK, MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		load_conn_fail_errno(t, c, errno);
	} else if (n == 0 && c->state == LOAD_FIN) {
		load_conn_close(t, c);
	} else if (n == 0) {
		ended(t, c, LOAD_CLOSED);
	} else if (c->received + (uint64_t)n > c->sent ||
		   !pattern_check(t->in, c->stream, c->received, (size_t)n)) {
		suspect(t, c, (char *)t->in + shift, (size_t)n);
	} else {
		take(t, c, (size_t)n);
	}
}
