/* SPDX-License-Identifier: ISC */
/* echoc send over a stream: both directions at once, so that neither end's buffers limit
 * how much can be sent; the end of the input is told by half-close. */
#include "exits.h"
#include "moment.h"
#include "send.h"
#include "verify.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	PIECE = 64 << 10, /* bytes read at once */
	AHEAD = 64 << 20, /* bytes sent and not yet back, at most, with --verify */
	PROBE_MS = 300    /* how long more bytes are waited for that help to name damage */
};

/* One exchange. */
struct stream {
	const struct send_conf *conf;
	struct verify verify;
	int fd;
	char *out; /* what is to be sent: the words, or PIECE bytes of input */
	size_t out_at, out_size;
	bool input_end;     /* nothing more will be read */
	bool shut;          /* our half-close is out, or cannot be any more */
	bool end;           /* the far side's end of file */
	uint64_t sent, got; /* bytes */
	int64_t progress;   /* when the socket last moved, ns */
	int error;          /* -errno of the socket */
	int broken_input;   /* -errno of standard input */
	int broken_output;  /* -errno of standard output */
	char last;          /* the last byte that came */
};

static void read_input(struct stream *s)
{
	ssize_t n = read(STDIN_FILENO, s->out, PIECE);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	s->out_at = 0;
	s->out_size = n > 0 ? (size_t)n : 0;
	s->broken_input = n < 0 ? -errno : 0;
	s->input_end = n <= 0;
	s->progress = moment_now(); /* the wait for input is not the far side's */
}

static void write_socket(struct stream *s)
{
	const char *data = s->out + s->out_at;
	ssize_t n = send(s->fd, data, s->out_size - s->out_at, MSG_NOSIGNAL);

	if (n < 0) {
		if (errno == EAGAIN || errno == EINTR)
			return;
		/* What came before the end is still to be read; there the reason is told. */
		if (errno != EPIPE)
			s->error = -errno;
		s->input_end = s->shut = true;
		s->out_size = s->out_at = 0;
		return;
	}
	if (s->conf->verify && verify_sent(&s->verify, data, (size_t)n) < 0)
		s->error = -ENOMEM;
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): data is a place in s->out, which stays */
	s->out_at += (size_t)n;
	s->sent += (uint64_t)n;
	s->progress = moment_now();
}

static void read_socket(struct stream *s)
{
	char data[PIECE];
	ssize_t n = recv(s->fd, data, sizeof(data), 0);

	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			s->error = -errno;
		return;
	}
	s->progress = moment_now();
	if (n == 0) {
		s->end = true;
		return;
	}
	s->got += (uint64_t)n;
	s->last = data[n - 1];
	if (s->conf->verify)
		verify_got(&s->verify, data, (size_t)n);
	s->broken_output = send_print(data, (size_t)n);
}

/* When the wait for the far side is over; never while nothing is due from it. */
static int64_t deadline(const struct stream *s)
{
	if (s->verify.damaged)
		return s->progress + PROBE_MS * (int64_t)MOMENT_MS;
	if (s->out_at < s->out_size || s->got < s->sent || s->shut)
		return s->progress + s->conf->timeout;
	return MOMENT_NEVER;
}

/* Wait for what may move, and move it.  Returns false at the deadline. */
static bool step(struct stream *s)
{
	struct pollfd p[2] = {{.fd = s->fd, .events = POLLIN}, {.fd = -1, .events = POLLIN}};
	int64_t until = deadline(s), left = until == MOMENT_NEVER ? 0 : until - moment_now();
	bool pending = s->out_at < s->out_size;
	int n;

	if (pending)
		p[0].events |= POLLOUT;
	else if (!s->input_end && (!s->conf->verify || verify_due(&s->verify) < AHEAD))
		p[1].fd = STDIN_FILENO;
	n = poll(p, 2, until == MOMENT_NEVER ? -1 : left < 0 ? 0 : (int)(left / MOMENT_MS) + 1);
	if (n == 0)
		return false;
	if (n < 0)
		return true; /* a signal */
	if (p[0].revents & ~POLLOUT)
		read_socket(s);
	if (p[0].revents & POLLOUT && s->error == 0)
		write_socket(s);
	if (p[1].revents)
		read_input(s);
	return true;
}

/* Is there nothing more to wait for? */
static bool finished(const struct stream *s)
{
	if (s->end || s->error != 0 || s->broken_input != 0 || s->broken_output != 0)
		return true;
	if (s->verify.damaged)
		return s->verify.n_probe == sizeof(s->verify.probe);
	return s->conf->keep_open && s->input_end && s->out_at == s->out_size && s->got >= s->sent;
}

/* Tell how it ended. */
static int judge(const struct stream *s, bool timed_out)
{
	char buf[VERIFY_TEXT_MAX];
	const char *damage = s->conf->verify ? verify_text(&s->verify, buf) : NULL;
	const char *who = s->conf->target.host;

	if (s->broken_output != 0)
		return exits_say(EXITS_SYSTEM, "send", "standard output: %s",
				 strerror(-s->broken_output));
	if (s->broken_input != 0)
		return exits_say(EXITS_SYSTEM, "send", "standard input: %s",
				 strerror(-s->broken_input));
	if (s->verify.damaged)
		return exits_say(EXITS_DAMAGED, "send", "%s: damaged: %s", who, damage);
	if (s->error != 0)
		return exits_say(exits_of(s->error), "send",
				 "%s: %s, after %" PRIu64 " of %" PRIu64 " bytes came back", who,
				 strerror(-s->error), s->got, s->sent);
	if (timed_out && s->got >= s->sent && s->shut)
		return exits_say(EXITS_TIMEOUT, "send",
				 "%s: all came back, but no end of file in answer to ours", who);
	if (timed_out)
		return exits_say(EXITS_TIMEOUT, "send",
				 "%s: nothing moves any more: %" PRIu64 " bytes sent, %" PRIu64
				 " came back",
				 who, s->sent, s->got);
	if (s->sent == 0 && s->got == 0 && (!s->input_end || s->out_at < s->out_size))
		return exits_say(EXITS_DAMAGED, "send",
				 "%s: the far side closed before anything was sent", who);
	if (s->got != s->sent || !s->input_end || s->out_at < s->out_size)
		return exits_say(EXITS_DAMAGED, "send",
				 "%s: damaged: cut at %" PRIu64 " of %" PRIu64
				 " bytes: the far side closed%s",
				 who, s->got, s->sent, s->shut ? " at our half-close" : "");
	return EXITS_OK;
}

static int converse(struct stream *s)
{
	bool timed_out = false;

	s->progress = moment_now();
	while (!timed_out && !finished(s)) {
		if (s->input_end && s->out_at == s->out_size && !s->shut && !s->conf->keep_open) {
			shutdown(s->fd, SHUT_WR);
			s->shut = true;
			s->progress = moment_now();
		}
		timed_out = !step(s);
	}
	/* Words are for people: the next prompt does not follow on the same line. */
	if (s->conf->texts && s->got > 0 && s->last != '\n' && s->broken_output == 0)
		s->broken_output = send_print("\n", 1);
	return judge(s, timed_out);
}

/* The words with blanks between them. */
static size_t join(const struct send_conf *conf, char *out)
{
	size_t n = 0;

	for (int i = 0; i < conf->n_texts; i++) {
		size_t length = strlen(conf->texts[i]);

		if (i > 0) {
			if (out)
				out[n] = ' ';
			n++;
		}
		if (out)
			memcpy(out + n, conf->texts[i], length);
		n += length;
	}
	return n;
}

int send_stream(const struct send_conf *conf)
{
	struct stream s = {.conf = conf, .input_end = conf->texts != NULL};
	const struct address *to = &conf->target.addresses[0];
	char text[ADDRESS_TEXT_MAX];
	const char *what;
	int code;

	s.out = malloc(conf->texts ? join(conf, NULL) + 1 : PIECE);
	if (!s.out)
		return exits_say(EXITS_SYSTEM, "send", "out of memory");
	if (conf->texts)
		s.out_size = join(conf, s.out);
	s.fd = sock_connect_any(&conf->sock, &conf->target, conf->timeout, &to, &what);
	if (s.fd < 0) {
		code = exits_say(exits_of(s.fd), "send", "%s: %s: %s", address_format(to, text),
				 what, strerror(-s.fd));
	} else {
		if (conf->sock.show_options)
			sock_print_options(&conf->sock, s.fd, stderr);
		code = converse(&s);
		close(s.fd);
	}
	verify_deinit(&s.verify);
	free(s.out);
	return code;
}
