/* SPDX-License-Identifier: ISC */
/* load.c - verified load for one service, until standard input ends.  It says in lines on
 * standard output what became of it (`lost', `wrong', and now and then `count').  Whether a loss
 * is forgiven is not its business: the soak knows who was killed when.
 *
 * A line `reset' on standard input resets every connection that is open. */
#define _GNU_SOURCE 1
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum { EVENTS = 64, TICK = 5 /* ms */, COUNT = 200 /* ms between two lines of it */ };

struct load load;

static uint64_t random_state;

uint32_t load_random(uint32_t n)
{
	random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(((random_state >> 32) * n) >> 32);
}

void load_die(const char *what)
{
	fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
	exit(71);
}

void load_wrong(const char *what, uint64_t which, uint64_t detail, uint64_t detail2)
{
	printf("wrong %s %" PRIx64 " %" PRIx64 " %" PRIx64 "\n", what, which, detail, detail2);
	fflush(stdout);
}

uint64_t load_clock(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void count(void)
{
	printf("count %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
	       load.begun, load.done, load.reset, load.lost, load.late, load.bytes);
	fflush(stdout);
}

static void listen_to_commands(const struct half *half)
{
	struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
	char text[64];

	if (load.stopping || poll(&in, 1, 0) <= 0)
		return;
	if (read(STDIN_FILENO, text, sizeof(text)) <= 0)
		load.stopping = true;
	else
		half->reset_all();
}

static void run(const struct half *half)
{
	uint64_t tick = 0, told = 0;
	struct epoll_event ev[EVENTS];

	load.now = load_clock();
	half->start();
	while (!load.stopping || !half->idle()) {
		int n = epoll_wait(load.epoll_fd, ev, EVENTS, TICK);

		load.now = load_clock();
		for (int i = 0; i < n; i++)
			half->ready(ev[i].data.ptr, ev[i].events);
		if (load.now - tick < (uint64_t)TICK * MS)
			continue;
		tick = load.now;
		half->tick();
		listen_to_commands(half);
		if (load.now - told < (uint64_t)COUNT * MS)
			continue;
		told = load.now;
		count();
	}
	count();
}

/* What stands for each transport on the command line. */
static const struct transport {
	const char *name;
	int family, type;
} transports[] = {
	{"tcp4", AF_INET, SOCK_STREAM}, {"tcp6", AF_INET6, SOCK_STREAM},
	{"unix", AF_UNIX, SOCK_STREAM}, {"udp4", AF_INET, SOCK_DGRAM},
	{"udp6", AF_INET6, SOCK_DGRAM}, {"unix-dgram", AF_UNIX, SOCK_DGRAM},
};

static void set_address(const char *place)
{
	struct sockaddr_in *in = (struct sockaddr_in *)&load.to;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&load.to;
	struct sockaddr_un *un = (struct sockaddr_un *)&load.to;

	load.to.ss_family = (sa_family_t)load.family;
	if (load.family == AF_INET) {
		in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		in->sin_port = htons((uint16_t)atoi(place));
		load.to_len = sizeof(*in);
	} else if (load.family == AF_INET6) {
		in6->sin6_addr = in6addr_loopback;
		in6->sin6_port = htons((uint16_t)atoi(place));
		load.to_len = sizeof(*in6);
	} else {
		snprintf(un->sun_path, sizeof(un->sun_path), "%s", place);
		load.to_len = sizeof(*un);
	}
}

int main(int argc, char **argv)
{
	const struct transport *t = transports, *end = t + sizeof(transports) / sizeof(*t);

	while (argc == 7 && t < end && strcmp(t->name, argv[1]) != 0)
		t++;
	if (argc != 7 || t == end) {
		fprintf(stderr, "usage: load TRANSPORT PORT-OR-PATH PLACES many|one NUMBER SEED\n");
		return 64;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
	load.family = t->family;
	load.type = t->type;
	set_address(argv[2]);
	load.places = (unsigned)atoi(argv[3]);
	load.one_by_one = strcmp(argv[4], "one") == 0;
	load.number = strtoull(argv[5], NULL, 10);
	random_state = strtoull(argv[6], NULL, 10) ^ load.number << 40;
	load.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (load.epoll_fd < 0)
		load_die("epoll_create1");
	run(load.type == SOCK_STREAM ? &streams : &datagrams);
	return 0;
}
