/* SPDX-License-Identifier: ISC */
/* report.h - what respond = "report" answers: one line of JSON that says who answered and what
 * arrived.  Pure: no system calls, no memory of its own. */
#ifndef ECHOD_REPORT_H
#define ECHOD_REPORT_H

#include "address.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct proxy_header;
struct tcp_info;

enum { REPORT_MAX = 3072 /* bytes of any report */ };

/* What is reported, in this order.  What is not known is not in the report: a number of -1, a
 * name or pointer that is NULL, an address of length 0. */
struct report {
	int64_t tos, ttl; /* as received: TOS or traffic class, TTL or hop limit */
	int64_t length;   /* of the datagram, bytes */
	const char *host; /* that answered, as gethostname(2) */
	const char *service;
	int64_t worker;      /* number of the worker process within its service */
	int64_t pid, tid;    /* of the process and the thread */
	struct address peer; /* as the socket has them */
	struct address local;
	int64_t received;                 /* the kernel's time, microseconds since 1970 */
	const struct proxy_header *proxy; /* that came */
	const struct tcp_info *tcp;
	const char *protocol, *model, *engine;
};

/* Write R into BUF: a JSON object and a line feed, of at most SIZE bytes.  What does not fit is
 * left out from the end on.  Returns the
 * length, or 0 if not even the first field fits. */
size_t report_write(const struct report *r, char *buf, size_t size);

#endif
