/* SPDX-License-Identifier: ISC */
/* fail.h - the panel that all processes and threads of the daemon map, and what its calls ask:
 * am I the one that is to fail? */
#ifndef TORTURE_FAIL_H
#define TORTURE_FAIL_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { MOST_CALLS = 100, MOST_PROCESSES = 1000 };

/* How many blocks a process has of malloc(3). */
struct heap {
	uint32_t pid;
	_Atomic int32_t blocks;
};

/* What run.py writes and reads; its layout stands in panel.py, too. */
struct panel {
	char call[32];     /* the one that is to fail; it never changes once the daemon runs */
	uint32_t position; /* which time; the first is 1, 0 = never */
	uint32_t error;    /* errno */
	struct {
		char name[32];
		_Atomic uint32_t made; /* how often */
	} calls[MOST_CALLS];
	struct heap heaps[MOST_PROCESSES]; /* in the order in which they came */
	_Atomic uint32_t n_heaps;          /* ever */
};

/* A call, or a kind of completion. */
struct call {
	const char *name;
	unsigned index; /* in the panel */
	bool meant;
};

/* Before the panel is opened: there is CALL. */
void fail_known(struct call *call);

/* CALL is made once more.  If this is the time when it fails, that is true and errno is set. */
bool fail_now(struct call *call);

#endif
