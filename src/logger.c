/* SPDX-License-Identifier: ISC */
/* The logger's life, and its loop.  A complaint (a record with a key) is written at once;
 * what comes like it in the next WINDOW is counted, and the count is written with the last
 * text when the window ends, and so on until a window has none.  The table of complaints
 * has a fixed size: one that finds no place in it is simply written. */
#include "logger.h"

#include "log.h"
#include "process.h"
#include "timer.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	WINDOW = 10000, /* ms */
	PLACES = 64,
	STOP_PATIENCE = 1000 /* ms for a logger that is blocked to write what it has */
};

/* What is known of one complaint. */
struct complaint {
	uint64_t key;           /* 0: the place is free */
	uint64_t ends;          /* of the window, ms */
	unsigned unsaid;        /* in the window */
	struct log_record last; /* the latest that was not said */
};

/* What the loop knows. */
struct desk {
	struct log_shared *shared;
	uint64_t reported; /* how many drops the log has been told of */
	struct complaint complaints[PLACES];
};

static void put(const struct log_record *r)
{
	char line[sizeof(r->text) + 96];
	size_t n = log_detached() && r->level > LOG_WARNING ? 0 : log_line(r, line, sizeof(line));
	const char *p = line;

	while (n > 0) {
		ssize_t w = write(STDERR_FILENO, p, n);

		if (w < 0 && errno == EINTR)
			continue;
		if (w < 0)
			return; /* nobody reads: nowhere to complain to */
		p += w;
		n -= (size_t)w;
	}
}

/* The place of KEY, a free one, or NULL. */
static struct complaint *find(struct desk *l, uint64_t key)
{
	struct complaint *free_place = NULL;

	for (int i = 0; i < PLACES; i++) {
		struct complaint *c = &l->complaints[i];

		if (c->key == key)
			return c;
		if (c->key == 0 && !free_place)
			free_place = c;
	}
	return free_place;
}

/* The window of C is over: say what was not said.  If there was nothing, forget it. */
static void settle(struct complaint *c, uint64_t now)
{
	size_t n = strlen(c->last.text);

	if (c->unsaid == 0) {
		c->key = 0;
		return;
	}
	snprintf(c->last.text + n, sizeof(c->last.text) - n, " (and %u more like it in %d s)",
		 c->unsaid, WINDOW / 1000);
	put(&c->last);
	c->unsaid = 0;
	c->ends = now + WINDOW;
}

/* Complaints are alike that come from one place in the code and begin with the same word:
 * what one service has to say must not hide what another has. */
static uint64_t key_of(const struct log_record *r)
{
	uint64_t h = r->key;

	for (const char *p = r->text; *p && *p != ' '; p++)
		h = (h ^ (unsigned char)*p) * 1099511628211u;
	return h | 1;
}

static void take(struct desk *l, const struct log_record *r, uint64_t now)
{
	uint64_t key = r->key ? key_of(r) : 0;
	struct complaint *c = key ? find(l, key) : NULL;

	if (c && c->key == key) {
		c->unsaid++;
		c->last = *r;
		return;
	}
	if (c) {
		c->key = key;
		c->ends = now + WINDOW;
		c->unsaid = 0;
	}
	put(r);
}

/* Settle the windows that are over.  Returns milliseconds to the next, or -1. */
static int settle_due(struct desk *l, uint64_t now, bool all)
{
	int wait = -1;

	for (int i = 0; i < PLACES; i++) {
		struct complaint *c = &l->complaints[i];

		if (c->key && (all || c->ends <= now))
			settle(c, now);
		if (c->key && (wait < 0 || (int)(c->ends - now) < wait))
			wait = (int)(c->ends - now);
	}
	return wait;
}

/* Tell of records that senders had to drop. */
static void tell_drops(struct desk *l)
{
	uint64_t dropped = l->shared->dropped;
	struct log_record r = {.level = LOG_WARNING, .pid = getpid()};

	if (dropped == l->reported)
		return;
	clock_gettime(CLOCK_REALTIME, &r.when);
	snprintf(r.text, sizeof(r.text), "%llu log messages were dropped",
		 (unsigned long long)(dropped - l->reported));
	l->reported = dropped;
	put(&r);
}

/* Take and write records until every sender has closed its end. */
static void run(int fd, struct log_shared *shared)
{
	static struct desk desk;
	struct log_record r;

	desk.shared = shared;
	desk.reported = shared->dropped;
	for (;;) {
		int wait = settle_due(&desk, timer_now(), false);
		struct pollfd p = {.fd = fd, .events = POLLIN};
		ssize_t n;

		if (poll(&p, 1, wait) <= 0)
			continue;
		n = recv(fd, &r, sizeof(r), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
			break;
		if (n <= (ssize_t)offsetof(struct log_record, text))
			continue;
		r.text[sizeof(r.text) - 1] = '\0';
		take(&desk, &r, timer_now());
		tell_drops(&desk);
	}
	settle_due(&desk, 0, true);
	tell_drops(&desk);
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
	run(keep[0], shared);
	_exit(EXIT_SUCCESS);
}

int logger_restart(struct logger *l)
{
	pid_t pid;

	if (l->pid > 0)
		return 0;
	pid = fork();
	if (pid == 0)
		logger_main(l);
	if (pid < 0)
		return -errno;
	l->pid = pid;
	return 0;
}

int logger_start(struct logger *l)
{
	int r;

	*l = (struct logger){.line = {-1, -1}};
	l->shared = mmap(NULL, sizeof(*l->shared), PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (l->shared == MAP_FAILED)
		return -errno;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, l->line) < 0)
		return -errno;
	r = logger_restart(l);
	if (r == 0)
		log_set_sink(l->line[1], l->shared);
	return r;
}

bool logger_ended(struct logger *l, pid_t pid)
{
	if (pid != l->pid)
		return false;
	l->pid = 0;
	return true;
}

void logger_stop(struct logger *l)
{
	struct pollfd p = {.events = POLLIN};

	log_set_sink(-1, NULL);
	close(l->line[1]);
	close(l->line[0]);
	if (l->pid == 0)
		return;
	p.fd = (int)syscall(SYS_pidfd_open, l->pid, 0);
	if (p.fd >= 0 && poll(&p, 1, STOP_PATIENCE) == 0)
		kill(l->pid, SIGKILL);
	waitpid(l->pid, NULL, 0);
	if (p.fd >= 0)
		close(p.fd);
}
