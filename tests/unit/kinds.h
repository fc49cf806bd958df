/* SPDX-License-Identifier: ISC */
/* kinds.h - the kinds of processes that the sandbox knows, for its tests. */
#ifndef ECHOD_TESTS_KINDS_H
#define ECHOD_TESTS_KINDS_H

#include "sandbox_calls.h"

#include <stddef.h>

enum {
	KINDS = 32,
	NUMBERS = 600 /* of calls that are tried: all of today's, and some of tomorrow's */
};

/* A kind of process: what it is called in docs/sandbox.md, and what it does. */
struct kind {
	char name[80];
	unsigned parts;
};

extern struct kind kinds[KINDS];
extern size_t n_kinds;

/* Fill them: every pair of a model and an engine, a client's process, the logger. */
int kinds_list(void **state);

/* The row for call NUMBER of a process with PARTS, or NULL. */
const struct sandbox_call *kinds_row(int number, unsigned parts);

#endif
