/* SPDX-License-Identifier: ISC */
/* hold.c - many connections that do little, of one process and one source address, for the
 * bench: bench/run starts as many of these as it takes (a process has not descriptors enough
 * for a million).  Commands come on stdin, a line each; each is answered with one line:
 *
 *   connect N        have N connections                    ->  held N
 *   echo ROUNDS      64 bytes back and forth on each of
 *                    them, ROUNDS times, WINDOW at once,
 *                    every byte verified                   ->  echoed N seconds S
 *
 * It ends when stdin does.  Whatever goes wrong ends it at once, with a line on stderr. */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SIZE = 64, WORDS = SIZE / 8, WINDOW = 64, EVENTS = 256, PATIENCE_MS = 60000 };
enum { SPARE_FDS = 16 };

struct connection {
	int fd;
	uint32_t round; /* the message that is out, or the last */
};

static struct {
	struct connection *list;
	uint32_t n, max;
	int epoll_fd;
	uint64_t name; /* of this process, in every word */
	struct sockaddr_in from, to;
} hold;

static void die(const char *what)
{
	fprintf(stderr, "hold: %s: %s\n", what, strerror(errno));
	exit(71);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* As many connections as there may be descriptors. */
static void prepare(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		die("getrlimit");
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		die("setrlimit");
	hold.max = (uint32_t)limit.rlim_max - SPARE_FDS;
	hold.list = calloc(hold.max, sizeof(*hold.list));
	hold.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (!hold.list || hold.epoll_fd < 0)
		die("memory");
}

static void connect_one(void)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u32 = hold.n};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0)
		die("socket");
	if (bind(fd, (struct sockaddr *)&hold.from, sizeof(hold.from)) < 0)
		die("bind");
	if (connect(fd, (struct sockaddr *)&hold.to, sizeof(hold.to)) < 0)
		die("connect");
	if (epoll_ctl(hold.epoll_fd, EPOLL_CTL_ADD, fd, &ev) < 0)
		die("epoll_ctl");
	hold.list[hold.n++] = (struct connection){.fd = fd};
}

static void command_connect(unsigned long n)
{
	if (n > hold.max) {
		errno = EMFILE;
		die("connect");
	}
	while (hold.n < n)
		connect_one();
	printf("held %u\n", hold.n);
}

/* The message of connection I in ROUND: each word says whose it is. */
static void fill(uint64_t message[WORDS], uint32_t i, uint32_t round)
{
	for (unsigned w = 0; w < WORDS; w++)
		message[w] = hold.name << 48 | (uint64_t)i << 28 | (uint64_t)round << 3 | w;
}

static void send_message(uint32_t i)
{
	uint64_t message[WORDS];

	fill(message, i, ++hold.list[i].round);
	if (send(hold.list[i].fd, message, SIZE, MSG_NOSIGNAL) != SIZE)
		die("send");
}

static void take_message(uint32_t i)
{
	uint64_t expected[WORDS], got[WORDS];
	ssize_t n = recv(hold.list[i].fd, got, SIZE, MSG_WAITALL);

	fill(expected, i, hold.list[i].round);
	if (n == SIZE && !memcmp(expected, got, SIZE))
		return;
	if (n >= 0)
		errno = n == 0 ? ECONNRESET : EBADMSG;
	die("an echo");
}

/* Each connection's turn comes after that of all others. */
static void command_echo(unsigned long rounds)
{
	uint64_t total = (uint64_t)rounds * hold.n, sent = 0, echoed = 0;
	struct epoll_event ev[EVENTS];
	double began = now();

	while (echoed < total) {
		int n;

		/* No connection has two messages out. */
		while (sent < total && sent - echoed < WINDOW && sent - echoed < hold.n)
			send_message((uint32_t)(sent++ % hold.n));
		n = epoll_wait(hold.epoll_fd, ev, EVENTS, PATIENCE_MS);
		if (n <= 0) {
			errno = n == 0 ? ETIMEDOUT : errno;
			die("an echo");
		}
		for (int k = 0; k < n; k++)
			take_message(ev[k].data.u32);
		echoed += (uint64_t)n;
	}
	printf("echoed %llu seconds %.6f\n", (unsigned long long)echoed, now() - began);
}

static const struct {
	const char *name;
	void (*run)(unsigned long n);
} commands[] = {{"connect", command_connect}, {"echo", command_echo}};

static int run_command(const char *line)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		size_t len = strlen(commands[i].name);

		if (strncmp(line, commands[i].name, len) != 0 || line[len] != ' ')
			continue;
		commands[i].run(strtoul(line + len, NULL, 10));
		return 0;
	}
	fprintf(stderr, "hold: what is \"%s\"?\n", line);
	return 64;
}

int main(int argc, char **argv)
{
	char line[128];
	int status = 0;

	if (argc != 3) {
		fprintf(stderr, "usage: hold PORT NUMBER\n");
		return 64;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	hold.name = strtoul(argv[2], NULL, 10);
	hold.from = hold.to = (struct sockaddr_in){.sin_family = AF_INET};
	hold.to.sin_port = htons((uint16_t)strtoul(argv[1], NULL, 10));
	hold.to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	hold.from.sin_addr.s_addr = htonl(0x7f020001 + (uint32_t)hold.name);
	prepare();
	while (status == 0 && fgets(line, sizeof(line), stdin)) {
		status = run_command(line);
		fflush(stdout);
	}
	return status;
}
