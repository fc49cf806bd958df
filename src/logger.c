/* SPDX-License-Identifier: ISC */
/* The logger's life, and its loop.  A complaint (a record with a key) is written at once;
 * what comes like it in the next WINDOW is counted, here or where it arises, and the count is
 * written with the last text when the window ends, and so on until a window has none.  The table
 * of complaints has a fixed size: all that find no place of their own share the last one. */
#include "logger.h"

#include "log.h"
#include "log_record.h"
#include "logger_sink.h"
#include "process.h"
#include "timer.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum {
	WINDOW = LOG_RECORD_WINDOW,
	PLACES = LOG_CAUSES + 1, /* the last is for those who find none */
	DROPS_PAUSE = 1000,   /* ms between two reports of drops, while there is no end of them */
	SETTLE = 500,         /* ms for the log to deal with the last records */
	RETRY = 100,          /* ms after an error of the line */
	STOP_PATIENCE = 1000, /* ms for a logger that is blocked to write what it has, */
	LOOK = 2              /* and between two looks whether it has */
};

/* What is known of one complaint. */
struct complaint {
	uint64_t key;           /* 0: the place is free */
	uint64_t ends;          /* of the window, ms */
	uint64_t unsaid;        /* in the window, but for what log_causes has counted */
	struct log_record last; /* the latest that came */
};

/* What the loop knows. */
struct desk {
	struct log_shared *shared;
	uint64_t report_at;            /* ms: not before that of more */
	const struct logger_sink *bad; /* the sink that took nothing last time, or NULL */
	struct complaint complaints[PLACES];
};

/* SINK takes nothing: say so, once, where its records go then.  That a daemon without a
 * terminal has no system log either is nobody's mistake. */
static void complain(struct desk *l, const struct logger_sink *sink, int error)
{
	struct log_record r;

	if (l->bad == sink || (l->shared->target == LOG_TARGET_AUTO && log_detached()))
		return;
	l->bad = sink;
	log_record_init(&r, EVENT_LOG_FALLBACK, event_rows[EVENT_LOG_FALLBACK].level);
	log_record_add(&r, &F_TEXT(TARGET, sink->name));
	log_record_add(&r, &F_NUMBER(ERRNO, error));
	logger_sink_stderr.put(&r);
}

/* Write R where it is to go, or else to standard error; and there too while somebody waits
 * for a daemon that starts.  Returns false if neither took it. */
static bool written(struct desk *l, const struct log_record *r)
{
	const struct logger_sink *sink = logger_sink_of((enum log_target)l->shared->target);
	int e = sink->put(r), spare = -1;

	if (e == 0)
		l->bad = NULL;
	else if (sink != &logger_sink_stderr)
		complain(l, sink, -e);
	if (sink != &logger_sink_stderr && (e < 0 || log_detached()))
		spare = logger_sink_stderr.put(r);
	return e == 0 || spare == 0;
}

static void put(struct desk *l, const struct log_record *r)
{
	if (!written(l, r))
		l->shared->dropped++;
}

/* The window of C is over: say what was not said.  If there was nothing, forget it. */
static void settle(struct desk *l, struct complaint *c, uint64_t now)
{
	struct log_causes *causes = &l->shared->causes;
	unsigned i = (unsigned)(c - l->complaints);
	struct log_record r;

	if (i < LOG_CAUSES)
		c->unsaid += log_causes_take(causes, i);
	if (c->unsaid == 0 && (i == LOG_CAUSES || log_causes_close(causes, i))) {
		c->key = 0;
		return;
	}
	if (i < LOG_CAUSES)
		c->unsaid += log_causes_take(causes, i);
	r = c->last;
	log_record_add(&r, &F_NUMBER(REPEATED, c->unsaid));
	put(l, &r);
	c->unsaid = 0;
	c->ends = now + WINDOW;
}

static void take(struct desk *l, const struct log_record *r, uint64_t now)
{
	uint64_t key = log_record_cause(r);
	struct complaint *c;

	if (key) {
		c = &l->complaints[log_causes_place(&l->shared->causes, key)];
		c->last = *r;
		if (c->key) {
			c->unsaid++;
			return;
		}
		c->key = key;
		c->ends = now + WINDOW;
	}
	put(l, r);
}

/* Settle the windows that are over.  Returns milliseconds to the next, or -1. */
static int settle_due(struct desk *l, uint64_t now, bool all)
{
	int wait = -1;

	for (int i = 0; i < PLACES; i++) {
		struct complaint *c = &l->complaints[i];

		if (c->key && (all || c->ends <= now))
			settle(l, c, now);
		if (c->key && (wait < 0 || (int)(c->ends - now) < wait))
			wait = (int)(c->ends - now);
	}
	return wait;
}

/* Tell of records that senders had to drop: at once, and then now and then if it goes on. */
static void tell_drops(struct desk *l, uint64_t now)
{
	uint64_t dropped = l->shared->dropped;
	struct log_record r;

	if (dropped == l->shared->reported || now < l->report_at)
		return;
	log_record_init(&r, EVENT_LOG_DROPPED, event_rows[EVENT_LOG_DROPPED].level);
	log_record_add(&r, &F_NUMBER(DROPPED, dropped - l->shared->reported));
	l->report_at = now + DROPS_PAUSE;
	if (written(l, &r))
		l->shared->reported = dropped;
}

/* Take one record.  Returns false when every sender has closed its end.  No error ends the
 * log: what the system is out of comes back. */
static bool take_next(struct desk *l, int fd)
{
	struct log_record r;
	ssize_t n = recv(fd, &r, sizeof(r), MSG_DONTWAIT | MSG_TRUNC);

	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			poll(NULL, 0, RETRY);
		return true;
	}
	if (n == 0)
		return false;
	if (log_record_check(&r, (size_t)n) == 0)
		take(l, &r, timer_now());
	else
		l->shared->dropped++;
	return true;
}

/* Take and write records until there can be no more. */
static void run(int fd, struct log_shared *shared)
{
	static struct desk desk;
	const struct logger_sink *sink;
	bool more = true;

	desk.shared = shared;
	while (more) {
		int wait = settle_due(&desk, timer_now(), false);
		struct pollfd p = {.fd = fd, .events = POLLIN};

		if (shared->dropped != shared->reported && (wait < 0 || wait > DROPS_PAUSE))
			wait = DROPS_PAUSE;
		if (poll(&p, 1, wait) > 0)
			more = take_next(&desk, fd);
		tell_drops(&desk, timer_now());
	}
	settle_due(&desk, 0, true);
	tell_drops(&desk, UINT64_MAX);
	sink = logger_sink_of((enum log_target)shared->target);
	if (sink->settle)
		sink->settle(SETTLE);
}

/* Read the file of the time zone, which cannot be opened later.  Without TZ libc would look at
 * it again and again whether it has changed. */
static void know_time_zone(void)
{
	setenv("TZ", ":/etc/localtime", 0);
	tzset();
}

static _Noreturn void logger_main(const struct logger *l)
{
	struct log_shared *shared = l->shared;
	int keep[] = {l->line[0]};
	struct identity nobody = {.uid = (uid_t)-1, .gid = (gid_t)-1};

	process_title("logger");
	process_keep_only(keep, 1);
	process_ignore_signals();
	log_set_sink(-1, NULL);
	process_drop_privileges(&nobody);
	process_wake_with_parents_death();
	if (l->sandbox)
		know_time_zone();
	if (sandbox_hide_names(l->sandbox, false) < 0 ||
	    sandbox_enter(&l->filters.worker, &shared->forbidden) < 0)
		_exit(EX_OSERR);
	run(keep[0], shared);
	_exit(EXIT_SUCCESS);
}

/* What was counted for a logger that died has lost its words. */
static void forget_counts(struct log_shared *shared)
{
	for (unsigned i = 0; i < LOG_CAUSES; i++) {
		shared->dropped += log_causes_take(&shared->causes, i);
		log_causes_close(&shared->causes, i);
	}
}

int logger_restart(struct logger *l)
{
	pid_t pid;

	if (l->pid > 0)
		return 0;
	forget_counts(l->shared);
	pid = fork();
	if (pid == 0)
		logger_main(l);
	if (pid < 0)
		return -errno;
	l->pid = pid;
	return 0;
}

int logger_start(struct logger *l, enum log_target target, const struct sandbox *sandbox)
{
	int r;

	*l = (struct logger){.line = {-1, -1}, .sandbox = sandbox};
	l->shared = mmap(NULL, sizeof(*l->shared), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (l->shared == MAP_FAILED)
		return -errno;
	l->shared->target = (int)target;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, l->line) < 0)
		return -errno;
	r = sandbox_filters_make(sandbox, NULL, &l->filters);
	if (r == 0)
		r = logger_restart(l);
	if (r == 0)
		log_set_sink(l->line[1], l->shared);
	return r;
}

void logger_set_target(struct logger *l, enum log_target target)
{
	l->shared->target = (int)target;
}

bool logger_ended(struct logger *l, pid_t pid, int status)
{
	if (pid != l->pid)
		return false;
	l->pid = 0;
	if (WIFSIGNALED(status)) {
		sandbox_log_end(&l->shared->forbidden, NULL, "logger", pid);
		log_event(EVENT_LOGGER_DIED, F_NUMBER(PID, pid),
			  F_NUMBER(SIGNAL, WTERMSIG(status)));
	} else {
		log_event(EVENT_LOGGER_DIED, F_NUMBER(PID, pid),
			  F_NUMBER(EXIT_STATUS, WEXITSTATUS(status)));
	}
	return true;
}

/* Is the process PID gone within MS?  Without a pidfd, as it has to be known when there are no
 * descriptors, too. */
static bool gone_within(pid_t pid, int ms)
{
	for (int waited = 0; waitpid(pid, NULL, WNOHANG) == 0; waited += LOOK) {
		if (waited >= ms)
			return false;
		poll(NULL, 0, LOOK);
	}
	return true;
}

void logger_stop(struct logger *l)
{
	if (!l->shared)
		return; /* it never started */
	log_set_sink(-1, NULL);
	sandbox_filters_free(&l->filters);
	close(l->line[1]);
	close(l->line[0]);
	if (l->pid == 0)
		return;
	if (!gone_within(l->pid, STOP_PATIENCE) && kill(l->pid, SIGKILL) == 0)
		waitpid(l->pid, NULL, 0);
}
