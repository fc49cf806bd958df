/* SPDX-License-Identifier: ISC */
/* The order of things, and what becomes of who breaks out of it.
 *
 * A forbidden call raises SIGSYS.  The handler writes down which call it was, where the
 * supervisor finds it, and makes another that is certainly forbidden: the second one nobody
 * catches, so that the process ends by SIGSYS, with a core dump if there are any. */
#include "sandbox.h"

#include "landlock.h"
#include "log.h"
#include "sandbox_calls.h"
#include "sandbox_filter.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum { BY_FILTER = 1 /* si_code, SYS_SECCOMP of asm-generic/siginfo.h */ };

/* Where the handler of SIGSYS writes. */
static _Atomic uint32_t *forbidden;

static void on_forbidden(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	if (info->si_code == BY_FILTER)
		*forbidden = (uint32_t)info->si_syscall + 1;
	syscall(SYS_execve, NULL, NULL, NULL);
	_exit(EX_SOFTWARE);
}

static int catch (void)
{
	struct sigaction sa = {.sa_sigaction = on_forbidden,
			       .sa_flags = SA_SIGINFO | SA_RESETHAND | SA_NODEFER};

	return sigaction(SIGSYS, &sa, NULL) < 0 ? -errno : 0;
}

/* What came of the attempt: errno, or 0. */
struct attempt {
	int seccomp, landlock;
};

static _Noreturn void try(const struct sock_fprog *filter, struct attempt *a)
{
	int version = landlock_version();

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0) {
		a->landlock = version < 0 ? -version
					  : -landlock_enter(version, false, sandbox_needs_files);
		a->seccomp = -filter_load(filter);
	}
	_exit(EXIT_SUCCESS);
}

static int wait_for(pid_t pid)
{
	int r;

	do
		r = waitpid(pid, NULL, 0) < 0 ? -errno : 0;
	while (r == -EINTR);
	return r;
}

static const char *reason(int error)
{
	return error == EOPNOTSUPP ? "not built in, or not enabled" : strerror(error);
}

static void conclude(struct sandbox *s, const struct attempt *a)
{
	size_t n = 0;

	*s = (struct sandbox){.known = true, .seccomp = a->seccomp == 0};
	if (a->landlock == 0)
		s->landlock = landlock_version();
	if (a->seccomp != 0)
		n = (size_t)snprintf(s->missing, sizeof(s->missing), "no seccomp (%s)",
				     reason(a->seccomp));
	if (a->landlock != 0)
		snprintf(s->missing + n, sizeof(s->missing) - n, "%sno Landlock (%s)",
			 n > 0 ? ", " : "", reason(a->landlock));
}

int sandbox_find(struct sandbox *s)
{
	struct attempt *a;
	struct sock_fprog filter = {.filter = NULL};
	pid_t pid;
	int r, made;

	if (s->known)
		return 0;
	a = mmap(NULL, sizeof(*a), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (a == MAP_FAILED)
		return -errno;
	made = filter_make(CALLS_WORKER, &filter);
	*a = (struct attempt){.seccomp = EPERM, .landlock = EPERM};
	pid = fork();
	if (pid == 0)
		try(&filter, a);
	r = pid < 0 ? -errno : wait_for(pid);
	if (made < 0 &&
	    a->seccomp == EINVAL) /* the kernel refuses no more than a filter without code */
		a->seccomp = -made;
	if (r == 0)
		conclude(s, a);
	filter_free(&filter);
	munmap(a, sizeof(*a));
	return r;
}

char *sandbox_text(const struct sandbox *s, char buf[SANDBOX_TEXT_MAX])
{
	char landlock[32] = "";

	if (s && s->landlock > 0)
		snprintf(landlock, sizeof(landlock), "Landlock ABI %d, ", s->landlock);
	snprintf(buf, SANDBOX_TEXT_MAX, "%s%s%sno_new_privs, no capabilities", s ? "" : "off; ",
		 s && s->seccomp ? "seccomp, " : "", landlock);
	return buf;
}

int sandbox_filters_make(const struct sandbox *s, const struct service_conf *service,
			 struct sandbox_filters *out)
{
	unsigned parts = service ? sandbox_parts_of(service) : CALLS_LOGGER;
	int r;

	*out = (struct sandbox_filters){.worker = {.filter = NULL}};
	if (!s || !s->seccomp)
		return 0;
	r = filter_make(parts, &out->worker);
	if (r == 0 && parts & CALLS_FORK)
		r = filter_make_less(parts, CALLS_CLIENT, &out->client);
	if (r < 0)
		sandbox_filters_free(out);
	return r;
}

void sandbox_filters_free(struct sandbox_filters *filters)
{
	filter_free(&filters->worker);
	filter_free(&filters->client);
}

int sandbox_hide_names(const struct sandbox *s, bool replies)
{
	if (!s || s->landlock == 0)
		return 0;
	return landlock_enter(s->landlock, replies, sandbox_needs_files);
}

int sandbox_enter(const struct sock_fprog *filter, _Atomic uint32_t *told)
{
	int r = filter->len > 0 ? catch () : 0;

	return r == 0 ? sandbox_enter_client(filter, told) : r;
}

int sandbox_enter_client(const struct sock_fprog *filter, _Atomic uint32_t *told)
{
	if (filter->len == 0)
		return 0;
	forbidden = told;
	return filter_load(filter);
}

void sandbox_log_end(_Atomic uint32_t *told, const char *service, const char *what, pid_t pid)
{
	uint32_t number = *told;
	char name[64];

	if (number == 0)
		return;
	*told = 0;
	log_event(EVENT_CALL_FORBIDDEN, F_TEXT(SERVICE, service), F_TEXT(TEXT, what),
		  F_NUMBER(PID, pid),
		  F_TEXT(CALL, filter_call_name((int)number - 1, name, sizeof(name))));
}
