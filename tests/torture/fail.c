/* SPDX-License-Identifier: ISC */
/* fail.c - an LD_PRELOAD library in which one call fails, once: the Nth of its name, counted
 * over all processes and threads of the daemon together, so that whoever is started in place
 * of the victim is not the next one.  And it counts the blocks of memory that each process has.
 *
 * The panel is a file that all of them map; its path stands in ECHOD_FAIL.  run.py writes which
 * call, which time, with which errno, and reads how often it was made. */
#define _GNU_SOURCE
#define syscall syscall_of_unistd_h /* with arguments that may be left out */
#include "fail.h"

#include <dlfcn.h>
#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#undef syscall

/* Of <fcntl.h>, which declares open() so, too. */
#define O_RDWR          02
#define O_CLOEXEC       02000000
#define F_DUPFD_CLOEXEC 1030

static struct panel *panel;
static struct heap nobodys, *heap = &nobodys; /* ours; the first until there is a panel */
static struct call *calls[MOST_CALLS];
static unsigned n_calls;

void fail_known(struct call *call)
{
	if (n_calls == MOST_CALLS)
		abort();
	call->index = n_calls;
	calls[n_calls++] = call;
}

/* This process is a new one.  What it has from its parent does not count: how much that is
 * hangs on when it was made. */
static void take_heap(int32_t blocks)
{
	uint32_t n = panel ? panel->n_heaps++ : MOST_PROCESSES;

	heap = n < MOST_PROCESSES ? &panel->heaps[n] : &nobodys;
	heap->blocks = blocks;
	heap->pid = (uint32_t)getpid();
}

__attribute__((constructor)) static void open_panel(void)
{
	const char *path = getenv("ECHOD_FAIL");
	int (*real_open)(const char *, int, mode_t) = dlsym(RTLD_NEXT, "open");
	int fd = path ? real_open(path, O_RDWR | O_CLOEXEC, 0) : -1;
	void *(*real_mmap)(void *, size_t, int, int, int, off_t) = dlsym(RTLD_NEXT, "mmap");
	struct panel *map;

	if (fd < 0)
		return;
	map = real_mmap(NULL, sizeof(*map), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		return;
	for (unsigned i = 0; i < n_calls; i++) {
		calls[i]->meant = strcmp(calls[i]->name, map->call) == 0;
		strncpy(map->calls[i].name, calls[i]->name, sizeof(map->calls[i].name) - 1);
	}
	panel = map;
	take_heap(nobodys.blocks);
}

bool fail_now(struct call *call)
{
	if (!panel || ++panel->calls[call->index].made != panel->position || !call->meant)
		return false;
	errno = (int)panel->error;
	return true;
}

/* FAIL(what it returns, its name, (parameters), (arguments), what it returns when it fails) */
#define FAIL(type, name, parameters, arguments, failed)           \
 static struct call call_##name = {#name, 0, false};              \
 __attribute__((constructor(101))) static void known_##name(void) \
 {                                                                \
  fail_known(&call_##name);                                       \
 }                                                                \
 type name parameters                                             \
 {                                                                \
  static type(*real) parameters;                                  \
                                                                  \
  if (fail_now(&call_##name))                                     \
   return failed;                                                 \
  if (!real)                                                      \
   real = (type(*) parameters)dlsym(RTLD_NEXT, #name);            \
  return real arguments;                                          \
 }

/* clang-format off */
FAIL(int, accept4, (int fd, struct sockaddr *a, socklen_t *n, int f), (fd, a, n, f), -1)
FAIL(ssize_t, recv, (int fd, void *p, size_t n, int f), (fd, p, n, f), -1)
FAIL(ssize_t, send, (int fd, const void *p, size_t n, int f), (fd, p, n, f), -1)
FAIL(ssize_t, sendmsg, (int fd, const struct msghdr *m, int f), (fd, m, f), -1)
FAIL(int, recvmmsg, (int fd, struct mmsghdr *m, unsigned n, int f, struct timespec *t),
     (fd, m, n, f, t), -1)
FAIL(int, sendmmsg, (int fd, struct mmsghdr *m, unsigned n, int f), (fd, m, n, f), -1)
FAIL(int, shutdown, (int fd, int how), (fd, how), -1)
FAIL(int, epoll_create1, (int f), (f), -1)
FAIL(int, epoll_ctl, (int e, int op, int fd, struct epoll_event *ev), (e, op, fd, ev), -1)
FAIL(int, epoll_wait, (int e, struct epoll_event *ev, int n, int t), (e, ev, n, t), -1)
FAIL(int, poll, (struct pollfd *p, nfds_t n, int t), (p, n, t), -1)
FAIL(int, eventfd, (unsigned n, int f), (n, f), -1)
FAIL(int, signalfd, (int fd, const sigset_t *s, int f), (fd, s, f), -1)
FAIL(int, timerfd_create, (clockid_t c, int f), (c, f), -1)
FAIL(int, pthread_create, (pthread_t *t, const pthread_attr_t *a, void *(*f)(void *), void *arg),
     (t, a, f, arg), errno)
FAIL(int, sched_setaffinity, (pid_t p, size_t n, const cpu_set_t *s), (p, n, s), -1)
FAIL(int, setrlimit, (__rlimit_resource_t r, const struct rlimit *l), (r, l), -1)
FAIL(int, setpriority, (__priority_which_t w, id_t i, int p), (w, i, p), -1)
FAIL(int, socket, (int d, int t, int p), (d, t, p), -1)
FAIL(int, socketpair, (int d, int t, int p, int fd[2]), (d, t, p, fd), -1)
FAIL(int, pipe2, (int fd[2], int f), (fd, f), -1)
FAIL(int, bind, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n), -1)
FAIL(int, listen, (int fd, int n), (fd, n), -1)
FAIL(int, connect, (int fd, const struct sockaddr *a, socklen_t n), (fd, a, n), -1)
FAIL(int, setsockopt, (int fd, int l, int o, const void *p, socklen_t n), (fd, l, o, p, n), -1)
FAIL(int, getsockopt, (int fd, int l, int o, void *p, socklen_t *n), (fd, l, o, p, n), -1)
FAIL(int, getsockname, (int fd, struct sockaddr *a, socklen_t *n), (fd, a, n), -1)
FAIL(int, getpeername, (int fd, struct sockaddr *a, socklen_t *n), (fd, a, n), -1)
FAIL(ssize_t, read, (int fd, void *p, size_t n), (fd, p, n), -1)
FAIL(int, fstat, (int fd, struct stat *st), (fd, st), -1)
FAIL(int, lstat, (const char *path, struct stat *st), (path, st), -1)
FAIL(int, unlink, (const char *path), (path), -1)
FAIL(int, fchmodat, (int fd, const char *path, mode_t m, int f), (fd, path, m, f), -1)
FAIL(ssize_t, getrandom, (void *p, size_t n, unsigned f), (p, n, f), -1)
FAIL(void *, mmap, (void *a, size_t n, int p, int f, int fd, off_t o), (a, n, p, f, fd, o),
     MAP_FAILED)
FAIL(int, kill, (pid_t p, int s), (p, s), -1)
FAIL(int, dup2, (int from, int to), (from, to), -1)
FAIL(int, chdir, (const char *path), (path), -1)
FAIL(char *, getcwd, (char *p, size_t n), (p, n), NULL)
FAIL(int, flock, (int fd, int how), (fd, how), -1)
FAIL(int, ftruncate, (int fd, off_t n), (fd, n), -1)
FAIL(ssize_t, pwrite, (int fd, const void *p, size_t n, off_t at), (fd, p, n, at), -1)
FAIL(int, fchmod, (int fd, mode_t m), (fd, m), -1)
FAIL(int, madvise, (void *a, size_t n, int how), (a, n, how), -1)
FAIL(int, sched_getaffinity, (pid_t p, size_t n, cpu_set_t *s), (p, n, s), -1)
FAIL(int, setgroups, (size_t n, const gid_t *g), (n, g), -1)
FAIL(int, setresgid, (gid_t r, gid_t e, gid_t s), (r, e, s), -1)
FAIL(int, setresuid, (uid_t r, uid_t e, uid_t s), (r, e, s), -1)
FAIL(struct passwd *, getpwnam, (const char *name), (name), NULL)
FAIL(struct group *, getgrnam, (const char *name), (name), NULL)
FAIL(int, gethostname, (char *p, size_t n), (p, n), -1)
FAIL(int, nanosleep, (const struct timespec *t, struct timespec *left), (t, left), -1)

/* Those with arguments that may be left out: one is passed on, as in C it may be. */
FAIL(int, ioctl, (int fd, unsigned long r, void *p), (fd, r, p), -1)
FAIL(int, open, (const char *path, int f, mode_t m), (path, f, m), -1)
FAIL(int, openat, (int fd, const char *path, int f, mode_t m), (fd, path, f, m), -1)
FAIL(long, syscall, (long n, long a, long b, long c, long d, long e, long f),
     (n, a, b, c, d, e, f), -1)
FAIL(int, prctl, (int o, unsigned long a, unsigned long b, unsigned long c, unsigned long d),
     (o, a, b, c, d), -1)
/* clang-format on */

/* What fcntl(2) is asked for beside a duplicate cannot fail. */
static struct call call_fcntl = {.name = "fcntl"};
__attribute__((constructor(101))) static void known_fcntl(void)
{
	fail_known(&call_fcntl);
}

int fcntl(int fd, int what, long arg)
{
	int (*real)(int, int, long) = (int (*)(int, int, long))dlsym(RTLD_NEXT, "fcntl");

	if (what == F_DUPFD_CLOEXEC && fail_now(&call_fcntl))
		return -1;
	return real(fd, what, arg);
}

/* Nor can eventfd(2)'s counter refuse to be one more, which is all that is written of that size. */
static struct call call_write = {.name = "write"};
__attribute__((constructor(101))) static void known_write(void)
{
	fail_known(&call_write);
}

ssize_t write(int fd, const void *p, size_t n)
{
	ssize_t (*real)(int, const void *,
			size_t) = (ssize_t(*)(int, const void *, size_t))dlsym(RTLD_NEXT, "write");

	if (n != sizeof(uint64_t) && fail_now(&call_write))
		return -1;
	return real(fd, p, n);
}

static struct call call_fork = {.name = "fork"};
__attribute__((constructor(101))) static void known_fork(void)
{
	fail_known(&call_fork);
}

pid_t fork(void)
{
	pid_t (*real)(void) = (pid_t(*)(void))dlsym(RTLD_NEXT, "fork");
	pid_t pid = fail_now(&call_fork) ? -1 : real();

	if (pid == 0)
		take_heap(0);
	return pid;
}

/* Memory.  The sanitizers bring an allocator of their own. */
#ifndef NO_MALLOC
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
extern void __libc_free(void *p);

static struct call call_malloc = {.name = "malloc"};
static _Thread_local unsigned spared;

__attribute__((constructor(101))) static void known_malloc(void)
{
	fail_known(&call_malloc);
}

static bool no_memory(void)
{
	return spared == 0 && fail_now(&call_malloc);
}

/* P is there, if it is. */
static void *count(void *p)
{
	heap->blocks += p != NULL;
	return p;
}

void *malloc(size_t n)
{
	return no_memory() ? NULL : count(__libc_malloc(n));
}

void *calloc(size_t n, size_t size)
{
	return no_memory() ? NULL : count(__libc_calloc(n, size));
}

void *realloc(void *p, size_t n)
{
	if (no_memory())
		return NULL;
	return p ? __libc_realloc(p, n) : count(__libc_realloc(p, n));
}

void free(void *p)
{
	heap->blocks -= p != NULL;
	__libc_free(p);
}

/* libconfig does not look at what it gets: it dies, or ends the process.  It is asked only when
 * there is enough (conf_file.c), so it has memory here. */
void config_init(void *config)
{
	void (*real)(void *) = (void (*)(void *))dlsym(RTLD_NEXT, "config_init");

	spared++;
	real(config);
	spared--;
}

int config_read_string(void *config, const char *text)
{
	int (*real)(void *, const char *) =
		(int (*)(void *, const char *))dlsym(RTLD_NEXT, "config_read_string");
	int r;

	spared++;
	r = real(config, text);
	spared--;
	return r;
}

/* Nor does libseccomp always, and it is asked likewise (sandbox_filter.c). */
void *seccomp_init(uint32_t action)
{
	void *(*real)(uint32_t) = (void *(*)(uint32_t))dlsym(RTLD_NEXT, "seccomp_init");
	void *filter;

	spared++;
	filter = real(action);
	spared--;
	return filter;
}

int seccomp_rule_add_array(void *filter, uint32_t action, int call, unsigned n, const void *args)
{
	int (*real)(void *, uint32_t, int, unsigned, const void *) =
		(int (*)(void *, uint32_t, int, unsigned,
			 const void *))dlsym(RTLD_NEXT, "seccomp_rule_add_array");
	int r;

	spared++;
	r = real(filter, action, call, n, args);
	spared--;
	return r;
}

int seccomp_export_bpf(void *filter, int fd)
{
	int (*real)(void *, int) = (int (*)(void *, int))dlsym(RTLD_NEXT, "seccomp_export_bpf");
	int r;

	spared++;
	r = real(filter, fd);
	spared--;
	return r;
}
#endif
