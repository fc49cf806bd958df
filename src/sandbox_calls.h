/* SPDX-License-Identifier: ISC */
/* sandbox_calls.h - the system calls that each process may make once it serves: a row each.
 * docs/sandbox.md is held to these rows, and to what a process of each kind was found to get
 * when it tried every call that there is. */
#ifndef ECHOD_SANDBOX_CALLS_H
#define ECHOD_SANDBOX_CALLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct service_conf;

/* What a process does, and so who may make a call.  A model and an engine have theirs in their
 * rows; a process may do what any of its parts does. */
enum sandbox_part {
	CALLS_WORKER = 1 << 0,    /* every worker */
	CALLS_CLIENT = 1 << 1,    /* a client's process of the model fork, and nothing else is */
	CALLS_LOGGER = 1 << 2,    /* the logger, and nothing else is */
	CALLS_STREAMS = 1 << 3,   /* a worker takes connections */
	CALLS_DATAGRAMS = 1 << 4, /* or datagrams */
	CALLS_BLOCKING = 1 << 5,  /* engines */
	CALLS_EPOLL = 1 << 6,
	CALLS_URING = 1 << 7,
	CALLS_FORK = 1 << 8,        /* it makes processes */
	CALLS_THREADS = 1 << 9,     /* it has threads */
	CALLS_NEW_THREAD = 1 << 10, /* it makes them while it serves */
	CALLS_PINNED = 1 << 11,     /* what it makes is pinned to processors */
	N_CALLS_PARTS = 12
};

enum sandbox_action {
	SANDBOX_ALLOW,
	SANDBOX_ENOSYS, /* the answer of an old kernel: libc does without */
	SANDBOX_EACCES, /* libraries may ask, and take no for an answer */
	SANDBOX_EPERM
};

/* One call.  If it looks at an argument (.mask is not 0), it is allowed where (argument & mask)
 * is value, and else forbidden. */
struct sandbox_call {
	const char *name;
	unsigned parts; /* who: any of these */
	enum sandbox_action action;
	unsigned arg; /* its number, from 0 */
	uint32_t mask, value;
	const char *instead_of; /* only where the kernel has no call of that name */
	const char *why;        /* and what of its arguments */
};

extern const struct sandbox_call sandbox_calls[]; /* in the order of their names */
extern const size_t n_sandbox_calls;

/* The same for what a build with sanitizers or for coverage calls besides; and does such a
 * build open files as it likes?  Elsewhere there is nothing. */
extern const struct sandbox_call sandbox_more_calls[];
extern const size_t n_sandbox_more_calls;
extern const bool sandbox_needs_files;

/* The name of a part, as in docs/sandbox.md. */
extern const char *const sandbox_parts[N_CALLS_PARTS];

/* The parts of a worker of SERVICE. */
unsigned sandbox_parts_of(const struct service_conf *service);

#endif
