/* SPDX-License-Identifier: ISC */
/* process.h - what a process of the daemon may use and may do: limits and privileges. */
#ifndef ECHOD_PROCESS_H
#define ECHOD_PROCESS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct process_conf;
struct service_conf;

/* Who the workers are to be. */
struct identity {
	uid_t uid; /* (uid_t)-1: stay who we are */
	gid_t gid; /* (gid_t)-1: likewise */
};

/* Look up process.user and process.group.  What we are already is left alone.  Returns 0,
 * -ENOENT with *WHO the name that nobody has, or -EPERM with *WHO the one we may not be. */
int process_identity(const struct process_conf *conf, struct identity *out, const char **who);

/* Descriptors that a worker of ours can have: open_files, as far as the hard limit lets. */
uint64_t process_open_files(const struct process_conf *conf);

/* The connections that SERVICE can have within those: at most its max_clients. */
unsigned process_connections(const struct process_conf *conf, const struct service_conf *service);

/* The connections that this very process has descriptors for. */
unsigned process_capacity(void);

/* Let this process have as many descriptors as process_open_files() says, for listeners; no
 * fewer than it may have now. */
void process_raise_files(const struct process_conf *conf);

/* Log the limits that CONF sets, as they will be. */
void process_log_limits(const struct process_conf *conf);

/* Set the limits of this process, and what they leave for its children.  What the system
 * refuses is logged. */
void process_limit(const struct process_conf *conf);

/* Become IDENTITY and give up every capability for good.  Returns 0 or -errno: then this
 * process must not serve. */
int process_drop_privileges(const struct identity *identity);

/* Prepare for process_title(): call it first of all in main(), with its arguments. */
void process_title_init(int argc, char *argv[]);

/* Be called "echod: " and the rest by ps(1): setproctitle(3bsd). */
void process_title(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Close every descriptor but the standard ones and the N in KEEP, which it sorts. */
void process_keep_only(int *keep, size_t n);

/* Signals that reach a whole process group or control group (a terminal's Ctrl-C, systemd's
 * stop) are the supervisor's to answer: ignore them here, and let all others through. */
void process_ignore_signals(void);

/* Before anything is done: who is told to reload when there is nothing to reload yet must not
 * end by that, SIGHUP waits until signals are read; and a file that may not grow is an error of
 * write(2), no signal. */
void process_begin_signals(void);

/* Go on, if stopped, when the parent dies: then we see that, and leave.  A change of user
 * undoes it. */
void process_wake_with_parents_death(void);

/* Make sure that descriptors 0, 1 and 2 are open, so that no socket gets such a number: those
 * that are not become /dev/null with FLAGS, of which O_PATH makes each use of them fail. */
void process_open_standard(int flags);

#endif
