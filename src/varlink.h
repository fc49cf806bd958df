/* SPDX-License-Identifier: ISC */
/* varlink.h - messages of the Varlink wire format, both ways, on a non-blocking stream
 * socket: each is a JSON object and a NUL byte (https://varlink.org).  For the daemon's
 * control socket and for its client. */
#ifndef ECHOD_VARLINK_H
#define ECHOD_VARLINK_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* What has been received and not taken yet. */
struct varlink_in {
	size_t max;       /* bytes of one message, its NUL included */
	char *data;       /* room bytes: */
	size_t room, end; /* received are [0, end) */
	size_t begin;     /* messages before it have been taken */
	size_t looked;    /* there is no NUL in [begin, looked) */
};

/* What has been queued and not sent yet. */
struct varlink_out {
	size_t max; /* bytes that may wait */
	char *data; /* of which [sent, end) are yet to be sent */
	size_t end, sent;
};

/* Receive once from FD.  Returns the number of bytes, 0 at the end of file, or -errno:
 * -EAGAIN, and -EMSGSIZE if a message is longer than max. */
ssize_t varlink_receive(struct varlink_in *in, int fd);

/* Take the next message: 1 with *MESSAGE, an object that the caller owns; 0 if none is whole
 * yet; -EBADMSG if it is anything but one JSON object. */
int varlink_next(struct varlink_in *in, json_t **message);

/* Is there anything that varlink_next() has not looked at? */
bool varlink_pending(const struct varlink_in *in);

/* Queue MESSAGE, which is the caller's.  Returns 0, -EMSGSIZE if it does not fit within max,
 * or -ENOMEM (also for NULL): then nothing is queued. */
int varlink_queue(struct varlink_out *out, const json_t *message);

/* Send to FD as much as it takes.  Returns 0 if all is sent, else -errno, -EAGAIN too. */
int varlink_send(struct varlink_out *out, int fd);

/* Free what they hold; they can be used again. */
void varlink_clear_in(struct varlink_in *in);
void varlink_clear_out(struct varlink_out *out);

/* TEXT as a JSON string, whatever bytes it has: what is not UTF-8 becomes '?'.  NULL gives
 * JSON's null. */
json_t *varlink_text(const char *text);

#endif
