/* SPDX-License-Identifier: ISC */
/* peer.h - what every peer begins with: its arguments, its end, its socket. */
#ifndef BENCH_PEER_H
#define BENCH_PEER_H

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>

static inline void peer_die(const char *what)
{
	perror(what);
	exit(71);
}

/* A peer ends with whoever started it, and no client ends a peer. */
static inline void peer_init(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGPIPE, SIG_IGN);
}

/* The number that TEXT is, at least 1; exits if it is none. */
static inline unsigned long peer_number(const char *text)
{
	char *end;
	unsigned long n = strtoul(text, &end, 10);

	if (n == 0 || *end) {
		fprintf(stderr, "\"%s\" is not a number from 1\n", text);
		exit(64);
	}
	return n;
}

/* A socket of TYPE, which may have SOCK_NONBLOCK, bound to PORT of 127.0.0.1. */
static inline int peer_bind(int type, const char *port)
{
	struct sockaddr_in sin = {.sin_family = AF_INET};
	int one = 1, fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	sin.sin_port = htons((uint16_t)peer_number(port));
	sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0)
		peer_die("socket");
	if (type & SOCK_STREAM && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0)
		peer_die("SO_REUSEADDR");
	if (bind(fd, (struct sockaddr *)&sin, sizeof(sin)) < 0)
		peer_die("bind");
	return fd;
}

/* A listener on PORT of 127.0.0.1; FLAGS may be SOCK_NONBLOCK.  What it accepts inherits
 * TCP_NODELAY. */
static inline int peer_listen(const char *port, int flags)
{
	int one = 1, fd = peer_bind(SOCK_STREAM | flags, port);

	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0 || listen(fd, 511) < 0)
		peer_die("listen");
	return fd;
}

#endif
