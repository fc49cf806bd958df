/* SPDX-License-Identifier: ISC */
/* respond.h - what a service answers (the key respond): a row each. */
#ifndef ECHOD_RESPOND_H
#define ECHOD_RESPOND_H

#include "conf.h"
#include "report.h"
#include "stats.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct executor;
struct proxy_header;

/* A connection of which something has come. */
struct asked_stream {
	const struct executor *executor;
	const struct proxy_header *proxy; /* that came before the client's bytes; NULL: none */
	int fd;
};

/* A datagram. */
struct asked_datagram {
	const struct executor *executor;
	const struct address *from, *to; /* to: len 0 = unknown */
	int64_t received; /* the kernel's time, microseconds since 1970; -1 unknown */
	int tos, ttl;     /* as received; -1 unknown */
};

struct responder {
	/* The answer to a stream of which something has come, or its end; after it our side ends.
	 * Writes it into ANSWER and returns its length.  NULL: an echo, or none. */
	uint32_t (*stream)(const struct asked_stream *s, char answer[REPORT_MAX]);
	/* Answer the datagram of N bytes at P in its place, with no more than N bytes.  Returns
	 * the length, or -1 for no answer.  NULL: an echo. */
	ssize_t (*datagram)(const struct asked_datagram *d, char *p, size_t n);
	enum counter answered; /* counts what was sent whole */
	enum counter silent;   /* counts datagrams without an answer */
	bool facts;            /* it tells what the kernel knows of a datagram */
};

/* The row of each enum respond. */
extern const struct responder responders[];

#endif
