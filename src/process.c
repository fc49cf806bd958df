/* SPDX-License-Identifier: ISC */
/* Limits by setrlimit(2), privileges by setresuid(2) and capability.c. */
#include "process.h"

#include "capability.h"
#include "conf.h"
#include "log.h"
#include "needs.h"

#include <bsd/stdlib.h>
#include <bsd/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

/* What a worker needs beside its connections: listeners, log, leash, epoll and the like. */
enum { RESERVE = 24 };

/* Each limit of the configuration: a row. */
static const struct limit {
	const char *key;
	int resource;
	size_t offset; /* of an int64_t in struct process_conf */
} limits[] = {
	{"process.open_files", RLIMIT_NOFILE, offsetof(struct process_conf, open_files)},
	{"process.processes", RLIMIT_NPROC, offsetof(struct process_conf, processes)},
	{"process.memory", RLIMIT_DATA, offsetof(struct process_conf, memory)},
	{"process.core", RLIMIT_CORE, offsetof(struct process_conf, core)},
	{"process.locked_memory", RLIMIT_MEMLOCK, offsetof(struct process_conf, locked_memory)},
};

int process_identity(const struct process_conf *conf, struct identity *out, const char **who)
{
	*out = (struct identity){.uid = (uid_t)-1, .gid = (gid_t)-1};
	if (conf->user[0]) {
		const struct passwd *pw = getpwnam(conf->user);

		*who = conf->user;
		if (!pw)
			return -ENOENT;
		out->uid = pw->pw_uid;
		out->gid = pw->pw_gid;
	}
	if (conf->group[0]) {
		const struct group *gr = getgrnam(conf->group);

		*who = conf->group;
		if (!gr)
			return -ENOENT;
		out->gid = gr->gr_gid;
	}
	if (geteuid() == 0)
		return 0;
	if ((out->uid != (uid_t)-1 && out->uid != geteuid()) ||
	    (out->gid != (gid_t)-1 && out->gid != getegid()))
		return -EPERM;
	*out = (struct identity){.uid = (uid_t)-1, .gid = (gid_t)-1};
	return 0;
}

uint64_t process_open_files(const struct process_conf *conf)
{
	struct rlimit now;

	if (getrlimit(RLIMIT_NOFILE, &now) < 0)
		return 0;
	if (conf->open_files == 0)
		return now.rlim_cur;
	return (rlim_t)conf->open_files < now.rlim_max ? (rlim_t)conf->open_files : now.rlim_max;
}

/* Connections within FILES descriptors. */
static uint64_t room_in(uint64_t files)
{
	return files > 2 * RESERVE ? files - RESERVE : files / 2 + 1;
}

unsigned process_capacity(void)
{
	struct rlimit now;

	if (getrlimit(RLIMIT_NOFILE, &now) < 0 || room_in(now.rlim_cur) > UINT32_MAX)
		return UINT32_MAX;
	return (unsigned)room_in(now.rlim_cur);
}

/* A process per client needs no descriptors in common; every other process holds the
 * connections of all its executors. */
unsigned process_connections(const struct process_conf *conf, const struct service_conf *service)
{
	uint64_t room = room_in(process_open_files(conf));

	if (service->model->own_descriptors)
		return service->max_clients;
	if (service->model->many_processes)
		room *= service->workers;
	return room < service->max_clients ? (unsigned)room : service->max_clients;
}

/* What the configuration asks for, if anything; and what of it the hard limit allows. */
static int64_t asked(const struct process_conf *conf, const struct limit *limit)
{
	return *(const int64_t *)((const char *)conf + limit->offset);
}

static rlim_t allowed(const struct limit *limit, int64_t value)
{
	struct rlimit r;

	if (getrlimit((__rlimit_resource_t)limit->resource, &r) < 0)
		return (rlim_t)value;
	return (rlim_t)value < r.rlim_max ? (rlim_t)value : r.rlim_max;
}

static void set_limit(const struct limit *limit, int64_t value)
{
	struct rlimit r;

	if (getrlimit((__rlimit_resource_t)limit->resource, &r) < 0)
		return;
	r.rlim_cur = allowed(limit, value);
	if (setrlimit((__rlimit_resource_t)limit->resource, &r) < 0)
		log_warn("%s=%lld: %m", limit->key, (long long)value);
}

void process_log_limits(const struct process_conf *conf)
{
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		long long value = asked(conf, &limits[i]);
		unsigned long long can = value > 0 ? allowed(&limits[i], value) : 0;

		if (value > 0 && can < (unsigned long long)value)
			log_info("%s=%llu, %lld is more than the hard limit", limits[i].key, can,
				 value);
		else if (value > 0)
			log_info("%s=%llu", limits[i].key, can);
	}
}

void process_raise_files(const struct process_conf *conf)
{
	struct rlimit now;

	if (getrlimit(RLIMIT_NOFILE, &now) == 0 && process_open_files(conf) > now.rlim_cur)
		set_limit(&limits[0], conf->open_files);
}

static void set_nice(int nice)
{
	char need[NEED_TEXT_MAX];

	if (setpriority(PRIO_PROCESS, 0, nice) < 0)
		log_warn("process.nice=%d: %m (%s)", nice, need_format(NEEDS_SCHEDULING, need));
}

void process_limit(const struct process_conf *conf)
{
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		int64_t value = asked(conf, &limits[i]);

		if (value > 0)
			set_limit(&limits[i], value);
	}
	if (conf->nice != 0)
		set_nice(conf->nice);
}

static int change_user(const struct identity *id)
{
	if (id->gid != (gid_t)-1 &&
	    (setgroups(1, &id->gid) < 0 || setresgid(id->gid, id->gid, id->gid) < 0))
		return -errno;
	if (id->uid == (uid_t)-1)
		return 0;
	if (setresuid(id->uid, id->uid, id->uid) < 0)
		return -errno;
	/* The way back must be closed: setuid(2) tells tales of kernels where it was not. */
	return id->uid != 0 && setuid(0) == 0 ? -EPERM : 0;
}

int process_drop_privileges(const struct identity *identity)
{
	int r;

	capability_bound();
	r = change_user(identity);
	return r < 0 ? r : capability_drop();
}

/* Where the name that we were called by ends: the title is written over it. */
static char *name_end;

void process_title_init(int argc, char *argv[])
{
	name_end = argv[0] + strlen(argv[0]);
	setprogname("echod");
	setproctitle_init(argc, argv, environ);
}

/* libbsd marks the end of a name that is longer than the title with a dot, which ps(1)
 * shows if there are arguments too: take it away. */
void process_title(const char *format, ...)
{
	char title[128];
	va_list ap;

	va_start(ap, format);
	vsnprintf(title, sizeof(title), format, ap);
	va_end(ap);
	setproctitle("%s", title);
	if (*name_end == '.')
		*name_end = '\0';
}

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

void process_keep_only(int *keep, size_t n)
{
	int last = STDERR_FILENO;

	qsort(keep, n, sizeof(keep[0]), by_number);
	for (size_t i = 0; i < n; i++) {
		if (keep[i] > last + 1)
			close_range((unsigned)last + 1, (unsigned)keep[i] - 1, 0);
		if (keep[i] > last)
			last = keep[i];
	}
	close_range((unsigned)last + 1, ~0u, 0);
}

void process_ignore_signals(void)
{
	static const int ignored[] = {SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGPIPE};
	sigset_t none;

	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

void process_begin_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGXFSZ, SIG_IGN);
}

void process_wake_with_parents_death(void)
{
	prctl(PR_SET_PDEATHSIG, SIGCONT, 0, 0, 0);
}

void process_open_standard(int flags)
{
	int fd;

	do
		fd = open("/dev/null", flags);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}
