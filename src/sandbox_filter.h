/* SPDX-License-Identifier: ISC */
/* sandbox_filter.h - the rows of sandbox_calls.h as a program for the kernel, seccomp(2), made by
 * libseccomp.  A build without that has sandbox_filter_none.c. */
#ifndef ECHOD_SANDBOX_FILTER_H
#define ECHOD_SANDBOX_FILTER_H

#include <stddef.h>

struct sock_fprog; /* of linux/filter.h */

/* Into OUT a program for a process that has PARTS (enum sandbox_part): rows say what is allowed
 * or refused; a number that no row and no name belongs to is answered with ENOSYS, any other
 * call raises SIGSYS, and one of another architecture ends the process.  filter_free() frees
 * it.  Returns 0 or -errno: -EOPNOTSUPP if this build cannot. */
int filter_make(unsigned parts, struct sock_fprog *out);

/* The same for a process that has the program of FROM already and is left with PARTS: what only
 * FROM allows raises SIGSYS. */
int filter_make_less(unsigned from, unsigned parts, struct sock_fprog *out);

void filter_free(struct sock_fprog *program);

/* Put PROGRAM on all threads of this process, for good.  No privilege must be left to gain
 * (PR_SET_NO_NEW_PRIVS).  Returns 0 or -errno. */
int filter_load(const struct sock_fprog *program);

/* The name of call NUMBER, or the number itself, into BUF.  Returns BUF. */
char *filter_call_name(int number, char *buf, size_t size);

#endif
