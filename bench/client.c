/* SPDX-License-Identifier: ISC */
/* client.c - the bench's load: one thread, epoll, every byte that comes back is checked.
 *
 * A byte of another stream, a lost, repeated or swapped one is an error here and never a
 * faster server (pattern.h).
 *
 *   rr       N connections, on each one message of SIZE bytes in flight
 *   bulk     N streams, full duplex: up to WINDOW bytes in flight, written SIZE at a time
 *   connect  N at a time: connect, send SIZE bytes, take them back, close
 *
 * In `connect` the client closes first, so that the TIME_WAIT is its own: its source
 * address rotates through SOURCES addresses of 127/8, each with all ephemeral ports, and
 * the server's port is never the bottleneck.  Then it waits for the server's FIN before it
 * counts the connection, so no server can put its work off.
 *
 * It prints one line of key=value and always ends by itself, at worst by SIGALRM. */
#define _GNU_SOURCE 1
#include "histogram.h"
#include "options.h"
#include "pattern.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MAX_EVENTS = 256, ERRORS_MAX = 1000, DRAIN_SECONDS = 3 };
enum { CONNECT_BURST = 128 }; /* a listener's backlog must hold what connects at once */

enum mode { RR, BULK, CONNECT };
static const char *const mode_names[] = {[RR] = "rr", [BULK] = "bulk", [CONNECT] = "connect"};

enum failure { REFUSED, RESET, EARLY_EOF, DAMAGED, UNFINISHED, FAILURES };
static const char *const failure_names[] = {"refused", "reset", "early_eof", "damaged",
					    "unfinished"};

struct stream {
	int fd;            /* -1: closed */
	bool want_out;     /* EPOLLOUT is asked for */
	bool shut;         /* our FIN is sent */
	uint64_t id;       /* in every word */
	uint64_t sent;     /* bytes */
	uint64_t received; /* bytes, all of them verified */
	uint64_t since;    /* ns: when the message in flight was sent */
};

static struct {
	enum mode mode;
	struct sockaddr_in to;
	unsigned connections, sources;
	uint64_t size, window;    /* bytes */
	uint64_t warmup, seconds; /* ns */
} opt;

static struct {
	int epoll_fd;
	unsigned open;       /* streams that are not closed */
	bool draining;       /* send nothing new */
	uint64_t begin, end; /* ns: what is measured */
	uint64_t now;        /* ns */
	uint64_t next_id;
	uint64_t ops, bytes, total; /* measured; total: operations with warm-up and drain */
	uint64_t failures[FAILURES], errors;
	uint64_t cpu; /* ns of this process within what is measured */
	struct histogram latency;
} run = {.next_id = 1};

/* Byte i of a stream is at i % 8 of a word here, however it was cut. */
static uint64_t out[CHUNK_MAX / 8 + 2], in[CHUNK_MAX / 8 + 2];

static uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static uint64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void stream_close(struct stream *s)
{
	if (s->fd < 0)
		return;
	close(s->fd);
	s->fd = -1;
	run.open--;
}

static void stream_fail(struct stream *s, enum failure why)
{
	run.failures[why]++;
	run.errors++;
	stream_close(s);
}

static void stream_fail_errno(struct stream *s)
{
	stream_fail(s, errno == ECONNREFUSED ? REFUSED : RESET);
}

static void stream_watch(struct stream *s, int op, bool want_out)
{
	struct epoll_event ev = {.events = EPOLLIN | (want_out ? EPOLLOUT : 0), .data.ptr = s};

	s->want_out = want_out;
	if (epoll_ctl(run.epoll_fd, op, s->fd, &ev) < 0) {
		perror("epoll_ctl");
		exit(71);
	}
}

/* One operation is done: a message or chunk is back, or a connection is over. */
static void account(uint64_t since, uint64_t operations)
{
	run.total += operations;
	if (run.now < run.begin || run.now >= run.end || !operations)
		return;
	run.ops += operations;
	run.bytes += operations * opt.size;
	histogram_add(&run.latency, run.now - since, operations);
}

/* Send up to byte TARGET of the stream. */
static void stream_push(struct stream *s, uint64_t target)
{
	while (s->sent < target) {
		uint64_t shift = s->sent & 7, len = target - s->sent;
		ssize_t n;

		if (len > opt.size)
			len = opt.size;
		pattern_fill(out, s->id, s->sent, len);
		n = send(s->fd, (char *)out + shift, len, MSG_NOSIGNAL);
		if (n < 0 && errno != EAGAIN) {
			stream_fail_errno(s);
			return;
		}
		if (n > 0)
			s->sent += (uint64_t)n;
		if (n < 0 || (uint64_t)n < len)
			break;
	}
	if (s->want_out != (s->sent < target))
		stream_watch(s, EPOLL_CTL_MOD, s->sent < target);
}

/* Take what has come, verified.  Returns the bytes, 0 for nothing yet or the end. */
static uint64_t stream_pull(struct stream *s)
{
	uint64_t shift = s->received & 7;
	ssize_t n = recv(s->fd, (char *)in + shift, CHUNK_MAX, 0);

	if (n < 0) {
		if (errno != EAGAIN)
			stream_fail_errno(s);
		return 0;
	}
	if (n == 0) {
		if (s->shut && s->received == s->sent)
			stream_close(s);
		else
			stream_fail(s, EARLY_EOF);
		return 0;
	}
	if (s->received + (uint64_t)n > s->sent ||
	    !pattern_check(in, s->id, s->received, (uint64_t)n)) {
		stream_fail(s, DAMAGED);
		return 0;
	}
	s->received += (uint64_t)n;
	return (uint64_t)n;
}

/* No more is to be sent: FIN once all of it is back, so that it is served to the end. */
static void stream_drain(struct stream *s)
{
	if (s->fd < 0 || s->shut || s->received < s->sent)
		return;
	if (s->want_out)
		stream_watch(s, EPOLL_CTL_MOD, false);
	s->shut = true;
	shutdown(s->fd, SHUT_WR);
}

/* A socket of a source address of its own; the port is chosen when it connects. */
static int source_socket(uint64_t id)
{
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct sockaddr_in from = {.sin_family = AF_INET};

	if (fd < 0) {
		perror("socket");
		exit(71);
	}
	if (opt.sources) {
		from.sin_addr.s_addr = htonl(0x7f010001 + (uint32_t)(id % opt.sources));
		setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
		bind(fd, (struct sockaddr *)&from, sizeof(from));
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

/* Connect S; the first bytes go out when the socket is writable. */
static void stream_open(struct stream *s)
{
	*s = (struct stream){.fd = source_socket(run.next_id),
			     .id = run.next_id,
			     .since = clock_ns()};
	run.next_id++;
	run.open++;
	if (connect(s->fd, (struct sockaddr *)&opt.to, sizeof(opt.to)) < 0 &&
	    errno != EINPROGRESS) {
		stream_fail(s, REFUSED);
		return;
	}
	stream_watch(s, EPOLL_CTL_ADD, false);
	/* On loopback the handshake is over when connect returns: no need to wait for it.  If
	 * it is not, EAGAIN asks for EPOLLOUT. */
	stream_push(s, opt.mode == BULK ? opt.window : opt.size);
}

static void ready_rr(struct stream *s)
{
	uint64_t since = s->since;

	run.now = clock_ns();
	if (stream_pull(s) && s->received == s->sent && s->sent % opt.size == 0) {
		account(since, 1);
		if (!run.draining) {
			s->since = run.now;
			stream_push(s, s->sent + opt.size);
			return;
		}
	}
	if (run.draining)
		stream_drain(s);
	else if (s->fd >= 0 && s->want_out)
		stream_push(s, s->received - s->received % opt.size + opt.size);
}

static void ready_bulk(struct stream *s)
{
	uint64_t before = s->received / opt.size, target;

	run.now = clock_ns();
	stream_pull(s);
	if (s->fd < 0)
		return;
	if (s->received / opt.size > before) {
		account(s->since, s->received / opt.size - before);
		s->since = run.now;
	}
	if (run.draining) {
		stream_drain(s);
		return;
	}
	target = s->received + opt.window;
	stream_push(s, target - target % opt.size);
}

static void ready_connect(struct stream *s)
{
	bool got = stream_pull(s) > 0;

	if (s->fd >= 0) {
		if (s->want_out)
			stream_push(s, opt.size);
		else if (got && s->received == opt.size)
			stream_drain(s);
		return;
	}
	run.now = clock_ns();
	if (s->shut && s->received == opt.size)
		account(s->since, 1);
	if (!run.draining && run.errors < ERRORS_MAX)
		stream_open(s);
}

static void (*const ready[])(struct stream *) = {
	[RR] = ready_rr,
	[BULK] = ready_bulk,
	[CONNECT] = ready_connect,
};

static void serve_until(uint64_t end)
{
	struct epoll_event ev[MAX_EVENTS];

	for (run.now = clock_ns(); run.now < end && run.open; run.now = clock_ns()) {
		int n = epoll_wait(run.epoll_fd, ev, MAX_EVENTS, 50);

		for (int i = 0; i < n; i++)
			ready[opt.mode](ev[i].data.ptr);
	}
}

/* The last resort: something here or in the kernel hangs. */
static void alarmed(int sig)
{
	static const char line[] = "mode=none errors=1 timeout=1\n";
	ssize_t n = write(STDOUT_FILENO, line, sizeof(line) - 1);

	(void)sig;
	_exit(n < 0 ? 71 : 3);
}

static void parse(int argc, char **argv)
{
	for (opt.mode = RR; argc > 1 && opt.mode <= CONNECT; opt.mode++)
		if (!strcmp(mode_names[opt.mode], argv[1]))
			break;
	if (argc < 2 || opt.mode > CONNECT)
		usage();
	for (int i = 2; i < argc; i += 2)
		parse_option(argv[i], argv[i + 1]);
	opt.to = (struct sockaddr_in){.sin_family = AF_INET};
	opt.to.sin_port = htons((uint16_t)options[PORT].value);
	opt.to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	opt.connections = (unsigned)options[CONNECTIONS].value;
	opt.sources = (unsigned)options[SOURCES].value;
	opt.size = (uint64_t)options[SIZE].value;
	opt.window = (uint64_t)options[WINDOW].value;
	opt.seconds = (uint64_t)(options[SECONDS].value * 1e9);
	opt.warmup = (uint64_t)(options[WARMUP].value * 1e9);
	if (!opt.to.sin_port || opt.window < opt.size)
		usage();
	alarm((unsigned)((opt.seconds + opt.warmup) / 1000000000) + DRAIN_SECONDS + 10);
}

static void report(void)
{
	double seconds = (double)opt.seconds / 1e9;

	printf("mode=%s connections=%u size=%llu seconds=%.3f ops=%llu rate=%.1f "
	       "bytes_per_second=%.0f p50_us=%.1f p99_us=%.1f p999_us=%.1f total=%llu errors=%llu",
	       mode_names[opt.mode], opt.connections, (unsigned long long)opt.size, seconds,
	       (unsigned long long)run.ops, (double)run.ops / seconds, (double)run.bytes / seconds,
	       histogram_us(&run.latency, 0.5), histogram_us(&run.latency, 0.99),
	       histogram_us(&run.latency, 0.999), (unsigned long long)run.total,
	       (unsigned long long)run.errors);
	for (int i = 0; i < FAILURES; i++)
		printf(" %s=%llu", failure_names[i], (unsigned long long)run.failures[i]);
	printf(" client_cpu_us=%.3f timeout=0\n",
	       run.ops ? (double)run.cpu / 1e3 / (double)run.ops : 0.0);
}

int main(int argc, char **argv)
{
	struct stream *streams;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGALRM, alarmed);
	parse(argc, argv);
	run.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	streams = calloc(opt.connections, sizeof(*streams));
	if (run.epoll_fd < 0 || !streams) {
		perror("client");
		return 71;
	}
	run.begin = UINT64_MAX;
	for (unsigned i = 0; i < opt.connections; i++) {
		stream_open(&streams[i]);
		if (i % CONNECT_BURST == CONNECT_BURST - 1)
			serve_until(clock_ns() + 20 * 1000000);
	}
	run.begin = clock_ns() + opt.warmup;
	run.end = run.begin + opt.seconds;
	serve_until(run.begin);
	run.cpu = cpu_ns();
	serve_until(run.end);
	run.cpu = cpu_ns() - run.cpu;
	run.draining = true;
	for (unsigned i = 0; i < opt.connections; i++)
		if (opt.mode != CONNECT)
			stream_drain(&streams[i]);
	serve_until(clock_ns() + DRAIN_SECONDS * 1000000000ULL);
	for (unsigned i = 0; i < opt.connections; i++)
		if (streams[i].fd >= 0)
			stream_fail(&streams[i], UNFINISHED);
	report();
	return run.errors ? 1 : 0;
}
