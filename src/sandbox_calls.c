/* SPDX-License-Identifier: ISC */
/* The rows.  A call that every echo makes looks at no argument: of such a call the kernel knows
 * the answer without running the filter, seccomp(2).
 *
 * Where libc or another architecture has two names for one thing, the second stands with
 * .instead_of; what 64 bits made twice for 32 (the time64 calls) is simply not there elsewhere. */
#include "sandbox_calls.h"

#include "conf.h"

#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#define BASE    (CALLS_WORKER | CALLS_CLIENT | CALLS_LOGGER)
#define PEERS   (CALLS_STREAMS | CALLS_CLIENT)
#define SOCKETS (PEERS | CALLS_DATAGRAMS)
#define WAITS   (CALLS_BLOCKING | CALLS_EPOLL)
#define MAKES   (CALLS_FORK | CALLS_NEW_THREAD)

/* Where clone(2) has its flags, and the requests of liburing. */
#ifdef __s390__
# define CLONE_FLAGS 1
#else
# define CLONE_FLAGS 0
#endif
#define UNREGISTER_RING_FDS 21
#define EXACTLY             UINT32_MAX
#define NAMESPACES                                                                             \
 (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | \
  CLONE_NEWNET)
/* Two requests that differ in a bit or two are one comparison. */
#define QUEUES (~(uint32_t)(SIOCOUTQ ^ SIOCINQ))

#define REFUSED(call, answer, reason)           \
 {                                              \
  call, BASE, SANDBOX_##answer, .why = (reason) \
 }

const struct sandbox_call sandbox_calls[] = {
	{"accept4", CALLS_STREAMS, .why = "takes clients"},
	REFUSED("access", EACCES, "there is no file system"),
	{"brk", BASE, .why = "memory"},
	{"clock_gettime", BASE, .why = "time, where the vDSO has none"},
	{"clock_gettime64", BASE, .why = "the same on 32 bits"},
	{"clock_nanosleep", CALLS_LOGGER, .why = "waits for the journal at the end"},
	{"clock_nanosleep_time64", CALLS_LOGGER, .why = "the same on 32 bits"},
	{"clone", CALLS_FORK, .arg = CLONE_FLAGS, .mask = NAMESPACES | CLONE_VM | CLONE_THREAD,
	 .why = "a process for a client: no thread, no namespace"},
	{"clone", CALLS_NEW_THREAD, .arg = CLONE_FLAGS, .mask = NAMESPACES | CLONE_THREAD,
	 .value = CLONE_THREAD, .why = "a thread for a client: no process, no namespace"},
	{"clone3", MAKES, SANDBOX_ENOSYS,
	 .why = "its flags cannot be looked at; libc takes clone instead"},
	{"close", BASE, .why = "ends connections"},
	{"close_range", CALLS_FORK, .why = "a client's process keeps its own descriptors only"},
	{"connect", CALLS_LOGGER, .why = "to the journal or syslog"},
	{"epoll_ctl", WAITS, .why = "watches"},
	{"epoll_pwait", WAITS, .instead_of = "epoll_wait",
	 .why = "epoll_wait of some architectures"},
	{"epoll_wait", WAITS, .why = "waits"},
	{"exit", CALLS_THREADS, .why = "ends a thread"},
	{"exit_group", BASE, .why = "ends the process"},
	REFUSED("faccessat", EACCES, "there is no file system"),
	REFUSED("faccessat2", EACCES, "there is no file system"),
	{"fcntl", CALLS_LOGGER, .why = "seals a long record for the journal"},
	{"fcntl64", CALLS_LOGGER, .why = "the same on 32 bits"},
	{"fstat", CALLS_LOGGER, .why = "is standard error the journal's?"},
	{"fstat", CALLS_WORKER | CALLS_CLIENT, SANDBOX_EACCES, .why = "there is no file system"},
	{"fstat64", CALLS_LOGGER, .why = "the same on 32 bits"},
	{"futex", CALLS_THREADS, .why = "locks"},
	{"futex_time64", CALLS_THREADS, .why = "the same on 32 bits"},
	{"getpeername", SOCKETS, .why = "reports"},
	{"getpid", BASE, .why = "who it is: records, slots"},
	{"getsockname", SOCKETS | CALLS_LOGGER, .why = "reports; what a socket is"},
	{"getsockopt", SOCKETS | CALLS_LOGGER, .why = "reports; the journal's buffer"},
	{"gettid", BASE, .why = "reports; abort(3)"},
	{"io_uring_enter", CALLS_URING, .why = "asks and waits; the ring allows few operations"},
	{"io_uring_register", CALLS_URING, .arg = 1, .mask = EXACTLY, .value = UNREGISTER_RING_FDS,
	 .why = "at the end, IORING_UNREGISTER_RING_FDS alone"},
	{"ioctl", PEERS | CALLS_LOGGER, .arg = 1, .mask = QUEUES, .value = SIOCOUTQ & QUEUES,
	 .why = "SIOCOUTQ and SIOCINQ: is anything on its way?"},
	REFUSED("lstat", EACCES, "there is no file system"),
	{"madvise", CALLS_THREADS, .why = "gives a thread's memory back"},
	{"memfd_create", CALLS_LOGGER, .why = "a long record for the journal"},
	{"mmap", BASE, .arg = 2, .mask = PROT_EXEC, .why = "memory, no code"},
	{"mmap2", BASE, .arg = 2, .mask = PROT_EXEC, .instead_of = "mmap",
	 .why = "mmap of some architectures"},
	{"mprotect", CALLS_THREADS, .arg = 2, .mask = PROT_EXEC, .why = "memory, no code"},
	{"mremap", BASE, .why = "memory"},
	{"munmap", BASE, .why = "memory"},
	{"newfstatat", CALLS_WORKER | CALLS_CLIENT, SANDBOX_EACCES,
	 .why = "there is no file system"},
	{"newfstatat", CALLS_LOGGER, .why = "fstat of libc"},
	REFUSED("open", EACCES, "there is no file system"),
	REFUSED("openat", EACCES, "there is no file system"),
	REFUSED("openat2", EACCES, "there is no file system"),
	{"poll", CALLS_BLOCKING | CALLS_CLIENT | CALLS_LOGGER, .why = "waits"},
	{"ppoll", CALLS_BLOCKING | CALLS_CLIENT | CALLS_LOGGER, .instead_of = "poll",
	 .why = "poll of some architectures"},
	{"ppoll_time64", CALLS_BLOCKING | CALLS_CLIENT | CALLS_LOGGER,
	 .why = "the same on 32 bits"},
	{"prctl", CALLS_FORK, .arg = 0, .mask = EXACTLY, .value = PR_SET_PDEATHSIG,
	 .why = "a client's process wakes when its parent dies: PR_SET_PDEATHSIG alone"},
	{"prctl", CALLS_LOGGER, .arg = 0, .mask = EXACTLY, .value = PR_GET_NAME,
	 .why = "whose a long record for the journal is: PR_GET_NAME alone"},
	{"read", MAKES, .why = "what has ended: signalfd, eventfd"},
	REFUSED("readlink", EACCES, "there is no file system"),
	REFUSED("readlinkat", EACCES, "there is no file system"),
	{"recv", PEERS | CALLS_LOGGER, .why = "recvfrom of some architectures"},
	{"recvfrom", PEERS | CALLS_LOGGER, .why = "what clients send; records"},
	{"recvmmsg", CALLS_DATAGRAMS, .why = "what clients send"},
	{"recvmmsg_time64", CALLS_DATAGRAMS, .why = "the same on 32 bits"},
	{"restart_syscall", BASE, .why = "a wait goes on after SIGSTOP and SIGCONT"},
	{"rseq", CALLS_NEW_THREAD, .why = "libc, for each thread"},
	REFUSED("rt_sigaction", EPERM, "abort(3) does without"),
	{"rt_sigprocmask", BASE, .why = "libc, around fork, threads and abort(3)"},
	{"rt_sigreturn", BASE, .why = "the end of a signal's handler"},
	{"sched_getaffinity", CALLS_THREADS, .why = "malloc(3): how many processors"},
	{"sched_setaffinity", CALLS_PINNED, .arg = 0, .mask = EXACTLY,
	 .why = "a client's process or thread is pinned, by itself alone"},
	{"seccomp", CALLS_FORK, .arg = 0, .mask = EXACTLY, .value = SECCOMP_SET_MODE_FILTER,
	 .why = "a client's process takes a shorter list"},
	{"send", BASE, .why = "sendto of some architectures"},
	{"sendmmsg", CALLS_DATAGRAMS, .why = "answers"},
	{"sendmsg", CALLS_DATAGRAMS | CALLS_LOGGER, .why = "answers, one by one; the journal"},
	{"sendto", BASE, .why = "answers; records for the log"},
	{"set_robust_list", MAKES, SANDBOX_ENOSYS, .why = "libc asks; nobody has such a lock"},
	{"setsockopt", SOCKETS | CALLS_LOGGER,
	 .why = "options of connections; the journal's buffer"},
	{"shutdown", PEERS, .why = "sends FIN"},
	{"sigreturn", BASE, .why = "rt_sigreturn of some architectures"},
	{"socket", CALLS_LOGGER, .arg = 0, .mask = EXACTLY, .value = AF_UNIX,
	 .why = "to the journal or syslog: AF_UNIX alone"},
	REFUSED("stat", EACCES, "there is no file system"),
	REFUSED("stat64", EACCES, "there is no file system"),
	REFUSED("statx", EACCES, "there is no file system"),
	REFUSED("tgkill", EPERM, "abort(3) ends without"),
	{"timerfd_settime", CALLS_EPOLL | CALLS_URING, .why = "the next deadline"},
	{"timerfd_settime64", CALLS_EPOLL | CALLS_URING, .why = "the same on 32 bits"},
	{"uname", SOCKETS, .why = "the host's name in reports"},
	{"waitid", CALLS_FORK, .why = "whose process has ended"},
	{"write", BASE, .why = "bell, pipe, standard error"},
	{"writev", CALLS_LOGGER, .why = "last words of libc"},
};

const size_t n_sandbox_calls = sizeof(sandbox_calls) / sizeof(sandbox_calls[0]);

const char *const sandbox_parts[N_CALLS_PARTS] = {
	"worker", "client",   "logger", "streams", "datagrams",  "blocking",
	"epoll",  "io_uring", "fork",   "threads", "new thread", "pinned",
};

unsigned sandbox_parts_of(const struct service_conf *service)
{
	unsigned parts = CALLS_WORKER | service->model->calls | service->engine->calls;

	parts |= protocols[service->protocol].stream ? CALLS_STREAMS : CALLS_DATAGRAMS;
	/* It may find at its start that the engine does not work there. */
	if (service->any_engine && service->engine->substitute)
		parts |= service->engine->substitute->calls;
	/* Workers and threads that are there already are pinned before they serve. */
	if (service->n_cpus > 0 && service->model->per_client)
		parts |= CALLS_PINNED;
	return parts;
}
