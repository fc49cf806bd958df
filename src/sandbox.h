/* SPDX-License-Identifier: ISC */
/* sandbox.h - what a process can still do once it serves: the calls of its list (seccomp) and
 * nothing by a name (Landlock).  Both are for good, and are asked for before the first byte of a
 * client is read. */
#ifndef ECHOD_SANDBOX_H
#define ECHOD_SANDBOX_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct service_conf;

enum { SANDBOX_TEXT_MAX = 160 };

/* What this system has. */
struct sandbox {
	bool known;                     /* it was looked for */
	bool seccomp;                   /* filters of system calls */
	int landlock;                   /* the version of its interface, 0 = none */
	char missing[SANDBOX_TEXT_MAX]; /* what there is not, and why; "" = there is all */
};

/* The filters of the processes of one service; without code: none. */
struct sandbox_filters {
	struct sock_fprog worker;
	struct sock_fprog client; /* of a client's process, on top of the worker's */
};

/* Look what there is, if that is not known yet: a process of its own tries.  Returns 0, or
 * -errno if there can be no such process. */
int sandbox_find(struct sandbox *sandbox);

/* What SANDBOX has, in words, into BUF; NULL: it is off.  Returns BUF. */
char *sandbox_text(const struct sandbox *sandbox, char buf[SANDBOX_TEXT_MAX]);

/* The filters for workers of SERVICE, if there are filters; or for the logger (NULL).
 * sandbox_filters_free() frees them.  Returns 0 or -errno. */
int sandbox_filters_make(const struct sandbox *sandbox, const struct service_conf *service,
			 struct sandbox_filters *out);
void sandbox_filters_free(struct sandbox_filters *filters);

/* This process, and what it makes, can reach nothing by a name any more; with REPLIES it can
 * still answer UNIX sockets with an abstract name.  One thread only.  Returns 0 or -errno. */
int sandbox_hide_names(const struct sandbox *sandbox, bool replies);

/* From here on all threads have FILTER alone.  Who makes a call that it does not allow is ended by
 * SIGSYS; *TOLD, in shared memory, has the number of the call and 1 then.  0 or -errno. */
int sandbox_enter(const struct sock_fprog *filter, _Atomic uint32_t *told);

/* The same for a process that was forked by one that is in already. */
int sandbox_enter_client(const struct sock_fprog *filter, _Atomic uint32_t *told);

/* A process that is not there any more, PID, was ended by SIGSYS: log which call it was, if
 * *TOLD knows, and forget it.  WHAT ("service=echo worker 1") is what it was; SERVICE may be
 * NULL. */
void sandbox_log_end(_Atomic uint32_t *told, const char *service, const char *what, pid_t pid);

#endif
