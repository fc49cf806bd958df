/* SPDX-License-Identifier: ISC */
/* compare_proc.h - what a tree of processes, and the machine, have used. */
#ifndef ECHOC_COMPARE_PROC_H
#define ECHOC_COMPARE_PROC_H

#include <stdint.h>
#include <sys/types.h>

/* Of a process and all its descendants, and of the machine. */
struct compare_proc {
	int64_t cpu;       /* ns of the tree, with its ended threads and children */
	int64_t memory;    /* bytes: the sum of the proportional shares */
	int64_t processes; /* that live */
	int64_t threads;   /* that live */
	int64_t system;    /* ns of all processors that were not idle */
	int64_t switches;  /* context switches of the machine, this process' own left out */
};

/* Read it; ROOT 0: of the machine alone.  What cannot be read counts as 0. */
void compare_proc_read(pid_t root, struct compare_proc *out);

#endif
