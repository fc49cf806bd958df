/* SPDX-License-Identifier: ISC */
/* burst.c - a client whose datagrams come in bursts, as those of QUIC do: each of CLIENTS
 * sockets hands the kernel COUNT datagrams of SIZE bytes in one call (UDP_SEGMENT), takes what
 * comes back as joined as it comes (UDP_GRO), and starts the next burst when all are back.
 * Every word says which client's it is, of which burst and where in it.
 *
 * It says "measuring" on stderr when it begins to count, and at its end, on stdout, what
 * `echoc load --json` would. */
#define _GNU_SOURCE 1
#include "histogram.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/udp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BURST_MAX = 65000, EVENTS = 64, PATIENCE_MS = 200, RECEIVE_BUFFER = 1 << 20 };

struct client {
	int fd;
	uint32_t burst; /* the number of the one that is out */
	unsigned back;  /* datagrams of it that are back */
	uint64_t since; /* ns: when it was sent */
};

static struct {
	struct sockaddr_in to;
	unsigned clients, count, size; /* size: bytes, a multiple of 8 */
	double warmup, seconds;
} opt;

static struct {
	int epoll_fd;
	struct client *list;
	bool measuring;
	uint64_t now, datagrams, lost, wrong;
	struct histogram latency;
} run;

static uint64_t words[65536 / 8];

static void die(const char *what)
{
	perror(what);
	exit(71);
}

static uint64_t clock_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

/* Word W of what client I sends in its burst. */
static uint64_t word(uint64_t i, uint64_t burst, uint64_t w)
{
	return i << 48 | (burst & 0xffffffff) << 16 | w;
}

static void start(struct client *c)
{
	uint64_t i = (uint64_t)(c - run.list);
	size_t len = (size_t)opt.count * opt.size;

	c->burst++;
	c->back = 0;
	for (size_t w = 0; w < len / 8; w++)
		words[w] = word(i, c->burst, w);
	c->since = run.now = clock_ns();
	/* What is not sent is lost, and counted when patience ends. */
	(void)!send(c->fd, words, len, 0);
}

/* Is the datagram at P one of what C has out?  One of earlier is only late. */
static void take_datagram(struct client *c, const uint64_t *p)
{
	uint64_t i = (uint64_t)(c - run.list), at = *p & 0xffff;
	bool good = *p >> 48 == i && at % (opt.size / 8) == 0;

	for (uint64_t w = 0; w < opt.size / 8; w++)
		good = good && p[w] == *p + w;
	if (!good)
		run.wrong++;
	else if (*p == word(i, c->burst, at))
		c->back++;
}

static void ready(struct client *c)
{
	ssize_t n = recv(c->fd, words, sizeof(words), MSG_DONTWAIT);

	if (n < 0)
		return;
	if ((size_t)n % opt.size)
		run.wrong++;
	for (size_t at = 0; at + opt.size <= (size_t)n; at += opt.size)
		take_datagram(c, words + at / 8);
	if (c->back < opt.count)
		return;
	run.now = clock_ns();
	if (run.measuring) {
		run.datagrams += opt.count;
		histogram_add(&run.latency, run.now - c->since, 1);
	}
	start(c);
}

static void give_up_late_ones(void)
{
	run.now = clock_ns();
	for (unsigned i = 0; i < opt.clients; i++) {
		struct client *c = &run.list[i];

		if (run.now - c->since < PATIENCE_MS * 1000000ULL)
			continue;
		run.lost += opt.count - c->back;
		start(c);
	}
}

static void serve_for(double seconds)
{
	uint64_t end = clock_ns() + (uint64_t)(seconds * 1e9), look = 0;
	struct epoll_event ev[EVENTS];

	for (run.now = clock_ns(); run.now < end; run.now = clock_ns()) {
		int n = epoll_wait(run.epoll_fd, ev, EVENTS, 10);

		for (int i = 0; i < n; i++)
			ready(ev[i].data.ptr);
		if (run.now > look) {
			give_up_late_ones();
			look = run.now + 20 * 1000000;
		}
	}
}

static void open_client(struct client *c)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = c};
	int one = 1, segment = (int)opt.size, room = RECEIVE_BUFFER;

	c->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&opt.to, sizeof(opt.to)) < 0)
		die("socket");
	setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	if (setsockopt(c->fd, SOL_UDP, UDP_SEGMENT, &segment, sizeof(segment)) < 0 ||
	    setsockopt(c->fd, SOL_UDP, UDP_GRO, &one, sizeof(one)) < 0 ||
	    epoll_ctl(run.epoll_fd, EPOLL_CTL_ADD, c->fd, &ev) < 0)
		die("UDP_SEGMENT");
}

static void report(void)
{
	double rate = (double)run.datagrams / opt.seconds;

	printf("{\"rate\": %.1f, \"bytes_per_second\": %.1f, \"settings\": {\"rate\": 0}, "
	       "\"latency_us\": {\"p50\": %.1f, \"p99\": %.1f}, \"failures\": {}, "
	       "\"damage\": {\"wrong\": %llu}, \"datagrams\": {\"lost\": %llu}, "
	       "\"client\": {\"cpu\": 0}}\n",
	       rate, rate * opt.size, histogram_us(&run.latency, 0.5),
	       histogram_us(&run.latency, 0.99), (unsigned long long)run.wrong,
	       (unsigned long long)run.lost);
}

int main(int argc, char **argv)
{
	if (argc == 7) {
		opt.clients = (unsigned)strtoul(argv[2], NULL, 10);
		opt.count = (unsigned)strtoul(argv[3], NULL, 10);
		opt.size = (unsigned)strtoul(argv[4], NULL, 10);
		opt.seconds = strtod(argv[5], NULL);
		opt.warmup = strtod(argv[6], NULL);
	}
	if (opt.clients == 0 || opt.count == 0 || opt.size == 0 || opt.size % 8 ||
	    opt.count > BURST_MAX / opt.size || opt.seconds <= 0) {
		fprintf(stderr, "usage: burst PORT CLIENTS COUNT SIZE SECONDS WARMUP\n");
		return 64;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	opt.to = (struct sockaddr_in){.sin_family = AF_INET};
	opt.to.sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10));
	opt.to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	run.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	run.list = calloc(opt.clients, sizeof(*run.list));
	if (run.epoll_fd < 0 || !run.list)
		die("memory");
	for (unsigned i = 0; i < opt.clients; i++)
		open_client(&run.list[i]);
	for (unsigned i = 0; i < opt.clients; i++)
		start(&run.list[i]);
	serve_for(opt.warmup);
	fputs("measuring\n", stderr);
	run.measuring = true;
	serve_for(opt.seconds);
	report();
	return run.lost + run.wrong > 0;
}
