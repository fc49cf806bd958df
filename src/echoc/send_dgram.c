/* SPDX-License-Identifier: ISC */
/* echoc send with datagrams: one, its answer, the next.  A datagram has bounds, so each
 * answer is whole or it is damaged; and it may come from somewhere else. */
#include "exits.h"
#include "moment.h"
#include "reply.h"
#include "send.h"
#include "verify.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The exchange with one address. */
struct talk {
	const struct send_conf *conf;
	const struct address *to;
	size_t next;     /* the address after it */
	int fd;          /* -1: none */
	char *out, *in;  /* REPLY_MAX bytes each */
	unsigned number; /* of the datagram, from 1 */
	bool answered;   /* any so far? */
	int worst;       /* exit code */
};

/* Tell of datagram number T->number; the first problem is the exit code. */
__attribute__((format(printf, 3, 4))) static void problem(struct talk *t, enum exit_code code,
							  const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	exits_say(code, "send", "%s: datagram %u: %s", t->conf->target.host, t->number, text);
	if (t->worst == EXITS_OK || code == EXITS_DAMAGED)
		t->worst = code;
}

/* What is wrong with the answer, told as for a stream of one datagram. */
static void compare(struct talk *t, size_t sent, size_t got)
{
	struct verify v = {0};
	char buf[VERIFY_TEXT_MAX];
	const char *text;

	if (verify_sent(&v, t->out, sent) < 0) {
		problem(t, EXITS_SYSTEM, "out of memory");
		return;
	}
	verify_got(&v, t->in, got);
	text = verify_text(&v, buf);
	if (text)
		problem(t, EXITS_DAMAGED, "damaged: %s", text);
	verify_deinit(&v);
}

/* Go to the next address that takes a socket.  Returns 0, or -errno of the last. */
static int open_next(struct talk *t, const char **what)
{
	int r = -EADDRNOTAVAIL;

	while (t->next < t->conf->target.n) {
		if (t->fd >= 0)
			close(t->fd);
		t->to = &t->conf->target.addresses[t->next++];
		t->fd = r = sock_open(&t->conf->sock, t->to, 0, what);
		if (r < 0)
			continue;
		if (t->conf->sock.show_options)
			sock_print_options(&t->conf->sock, t->fd, stderr);
		return 0;
	}
	return r;
}

/* Use an answer. */
static void use(struct talk *t, const struct reply *r, size_t sent)
{
	char asked[ADDRESS_TEXT_MAX], from[ADDRESS_TEXT_MAX], complaint[128];

	if (r->error != 0) {
		problem(t, exits_of(r->error), "%s (%s)", strerror(-r->error),
			reply_complaint(r, complaint, sizeof(complaint)));
		return;
	}
	if (!address_equal(&r->from, t->to) && t->to->sa.sa_family != AF_UNIX) {
		problem(t, EXITS_DAMAGED, "answered from %s, asked %s",
			address_format(&r->from, from), address_format(t->to, asked));
		return;
	}
	t->answered = true;
	if (t->conf->verify)
		compare(t, sent, r->size);
	if (send_print(t->in, r->size) < 0 || (t->conf->texts && send_print("\n", 1) < 0))
		problem(t, EXITS_SYSTEM, "standard output: %s", strerror(errno));
}

/* Send one datagram and wait for what comes.  The result is reply_wait()'s; an error of
 * sending is an error that came. */
static int attempt(struct talk *t, size_t size, struct reply *reply)
{
	int64_t deadline = moment_now() + t->conf->timeout;
	int r = reply_send(t->fd, t->out, size, t->to);

	if (r < 0) {
		*reply = (struct reply){.error = r, .complaint = "cannot send"};
		return 1;
	}
	do
		r = reply_wait(t->fd, t->in, reply, deadline);
	while (r == -EINTR);
	return r;
}

/* One datagram and its answer. */
static void exchange(struct talk *t, size_t size)
{
	struct reply reply;
	const char *what;
	int r;

	t->number++;
	/* What comes now belongs to an earlier one: a duplicate, or too late. */
	while (reply_take(t->fd, t->in, &reply) == 1 && reply.error == 0)
		problem(t, EXITS_DAMAGED, "%zu bytes came before it was sent: duplicated or late",
			reply.size);
	/* Until somebody has answered, a name's next address may be the right one. */
	do
		r = attempt(t, size, &reply);
	while ((r == 0 || (r == 1 && reply.error != 0)) && !t->answered &&
	       open_next(t, &what) == 0);
	if (r == 1)
		use(t, &reply, size);
	else if (r == 0)
		problem(t, EXITS_TIMEOUT, "no answer");
	else
		problem(t, exits_of(r), "%s", strerror(-r));
}

/* The next datagram into T->out: its size, or -1 at the end. */
static ssize_t next_datagram(struct talk *t)
{
	size_t n = 0, size = (size_t)t->conf->size;

	if (t->conf->texts) {
		if ((int)t->number >= t->conf->n_texts)
			return -1;
		n = strlen(t->conf->texts[t->number]);
		if (n > REPLY_MAX)
			n = REPLY_MAX; /* the kernel will say that it is too long */
		memcpy(t->out, t->conf->texts[t->number], n);
		return (ssize_t)n;
	}
	while (n < size) {
		ssize_t r = read(STDIN_FILENO, t->out + n, size - n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			t->worst = exits_say(EXITS_SYSTEM, "send", "standard input: %s",
					     strerror(errno));
		if (r <= 0)
			break;
		n += (size_t)r;
		if (isatty(STDIN_FILENO))
			break; /* a line is a datagram */
	}
	return n > 0 ? (ssize_t)n : -1;
}

int send_datagrams(const struct send_conf *conf)
{
	struct send_conf with_errors = *conf;
	struct talk t = {.conf = &with_errors, .fd = -1};
	char text[ADDRESS_TEXT_MAX];
	const char *what = "socket";
	ssize_t size;
	int r;

	with_errors.sock.report_errors = true;
	t.out = malloc((size_t)2 * REPLY_MAX);
	if (!t.out)
		return exits_say(EXITS_SYSTEM, "send", "out of memory");
	t.in = t.out + REPLY_MAX;
	r = open_next(&t, &what);
	if (r < 0)
		t.worst = exits_say(exits_of(r), "send", "%s: %s: %s", address_format(t.to, text),
				    what, strerror(-r));
	while (r == 0 && t.worst != EXITS_SYSTEM && (size = next_datagram(&t)) >= 0)
		exchange(&t, (size_t)size);
	if (t.fd >= 0)
		close(t.fd);
	free(t.out);
	return t.worst;
}
