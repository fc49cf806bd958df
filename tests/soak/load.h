/* SPDX-License-Identifier: ISC */
/* load.h - a client of the soak: what its two halves, streams and datagrams, share. */
#ifndef SOAK_LOAD_H
#define SOAK_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { MS = 1000000 /* ns */ };

struct load {
	int family, type;
	struct sockaddr_storage to;
	socklen_t to_len;
	uint64_t number; /* of this program among those that run: in every word that it sends */
	unsigned places; /* connections, or sockets of datagrams, at once */
	bool one_by_one; /* the service has few executors: none may be kept for long */
	int epoll_fd;
	uint64_t now;   /* ns, CLOCK_MONOTONIC */
	bool stopping;  /* end what has begun, begin nothing */
	uint64_t begun; /* connections, or datagrams */
	uint64_t done;  /* of them: all came back as it was */
	uint64_t reset; /* of them: reset by us */
	uint64_t lost;  /* of them: ended by the other side, or without an answer */
	uint64_t late;  /* datagrams that came back after they were given up */
	uint64_t bytes; /* that came back */
};

extern struct load load;

/* One of the two halves. */
struct half {
	void (*start)(void);
	void (*ready)(void *place, uint32_t events); /* of epoll */
	void (*tick)(void);                          /* every few milliseconds */
	void (*reset_all)(void);                     /* connections that are open */
	bool (*idle)(void);                          /* nothing is open or awaited */
};

extern const struct half streams, datagrams;

/* CLOCK_MONOTONIC, ns. */
uint64_t load_clock(void);

/* A number below N, from the seed. */
uint32_t load_random(uint32_t n);

/* Tell of something that must never be, in a line; the soak ends with it. */
void load_wrong(const char *what, uint64_t which, uint64_t detail, uint64_t detail2)
	__attribute__((cold));

_Noreturn void load_die(const char *what);

#endif
