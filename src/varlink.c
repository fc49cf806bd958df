/* SPDX-License-Identifier: ISC */
/* Framing.  Memory grows with what has come, never ahead of it, and is given back when all of
 * it is taken: a peer that connects and says nothing costs nothing. */
#include "varlink.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { STEP = 4096 /* bytes of the first receive */ };

/* Room for more: first what was taken is thrown away. */
static int make_room(struct varlink_in *in)
{
	size_t room = in->room ? 2 * in->room : STEP;
	char *grown;

	if (in->begin > 0) {
		in->end -= in->begin;
		in->looked -= in->begin;
		memmove(in->data, in->data + in->begin, in->end);
		in->begin = 0;
	}
	if (in->end < in->room)
		return 0;
	if (room > in->max)
		room = in->max;
	if (room <= in->end)
		return -EMSGSIZE;
	grown = realloc(in->data, room);
	if (!grown)
		return -ENOMEM;
	in->data = grown;
	in->room = room;
	return 0;
}

ssize_t varlink_receive(struct varlink_in *in, int fd)
{
	int r = make_room(in);
	ssize_t n;

	if (r < 0)
		return r;
	n = recv(fd, in->data + in->end, in->room - in->end, MSG_DONTWAIT);
	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	in->end += (size_t)n;
	return n;
}

int varlink_next(struct varlink_in *in, json_t **message)
{
	char *nul = NULL;
	json_t *got;

	if (in->looked < in->end)
		nul = memchr(in->data + in->looked, '\0', in->end - in->looked);
	if (!nul) {
		in->looked = in->end;
		if (in->begin == in->end)
			varlink_clear_in(in);
		return 0;
	}
	got = json_loads(in->data + in->begin, JSON_REJECT_DUPLICATES, NULL);
	in->begin = in->looked = (size_t)(nul + 1 - in->data);
	if (!json_is_object(got)) {
		json_decref(got);
		return -EBADMSG;
	}
	*message = got;
	return 1;
}

bool varlink_pending(const struct varlink_in *in)
{
	return in->looked < in->end;
}

/* json_dump_callback(3)'s: append, within max.  What is beyond end is not queued yet. */
struct dump {
	struct varlink_out *out;
	size_t room, end;
	int error;
};

static int append(const char *bytes, size_t n, void *arg)
{
	struct dump *d = arg;
	size_t room = d->room ? d->room : STEP;
	char *grown;

	if (n >= d->out->max - d->end) { /* the NUL needs a place too */
		d->error = -EMSGSIZE;
		return -1;
	}
	while (room <= d->end + n)
		room *= 2;
	if (room != d->room) {
		grown = realloc(d->out->data, room);
		if (!grown) {
			d->error = -ENOMEM;
			return -1;
		}
		d->out->data = grown;
		d->room = room;
	}
	memcpy(d->out->data + d->end, bytes, n);
	d->end += n;
	return 0;
}

int varlink_queue(struct varlink_out *out, const json_t *message)
{
	struct dump d = {.out = out, .error = -ENOMEM};

	if (out->sent > 0) {
		out->end -= out->sent;
		memmove(out->data, out->data + out->sent, out->end);
		out->sent = 0;
	}
	d.end = d.room = out->end;
	if (!message ||
	    json_dump_callback(message, append, &d, JSON_COMPACT | JSON_REAL_PRECISION(15)) < 0)
		return d.error;
	out->data[d.end] = '\0'; /* append() left room for it */
	out->end = d.end + 1;
	return 0;
}

int varlink_send(struct varlink_out *out, int fd)
{
	while (out->sent < out->end) {
		ssize_t n = send(fd, out->data + out->sent, out->end - out->sent,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			out->sent += (size_t)n;
	}
	varlink_clear_out(out);
	return 0;
}

void varlink_clear_in(struct varlink_in *in)
{
	free(in->data);
	*in = (struct varlink_in){.max = in->max};
}

void varlink_clear_out(struct varlink_out *out)
{
	free(out->data);
	*out = (struct varlink_out){.max = out->max};
}

json_t *varlink_text(const char *text)
{
	json_t *made = text ? json_string(text) : json_null();
	char *copy;

	if (made || !text)
		return made;
	copy = strdup(text);
	if (!copy)
		return NULL;
	for (char *c = copy; *c; c++)
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	made = json_string(copy);
	free(copy);
	return made;
}
