/* SPDX-License-Identifier: ISC */
/* Only in builds with sanitizers or for coverage: what those libraries call in every process.
 * A sanitizer looks at its own process when a thread starts or something is wrong; the counts
 * of coverage are written to files when a process ends.  Its twin is sandbox_plain.c. */
#include "sandbox_calls.h"

#define EVERY (CALLS_WORKER | CALLS_CLIENT | CALLS_LOGGER)
#define OWN(call)                            \
 {                                           \
  call, EVERY, .why = "sanitizers, coverage" \
 }

const struct sandbox_call sandbox_more_calls[] = {
	OWN("clock_nanosleep"), OWN("exit"),
	OWN("fcntl"),           OWN("fstat"),
	OWN("ftruncate"),       OWN("futex"),
	OWN("getdents64"),      OWN("getppid"),
	OWN("getrlimit"),       OWN("getrusage"),
	OWN("gettimeofday"),    OWN("lseek"),
	OWN("madvise"),         OWN("mkdir"),
	OWN("mprotect"),        OWN("nanosleep"),
	OWN("newfstatat"),      OWN("open"),
	OWN("openat"),          OWN("pipe2"),
	OWN("prctl"),           OWN("pread64"),
	OWN("prlimit64"),       OWN("read"),
	OWN("readlink"),        OWN("rseq"),
	OWN("rt_sigaction"),    OWN("sched_getaffinity"),
	OWN("sched_yield"),     OWN("set_robust_list"),
	OWN("sigaltstack"),     OWN("stat"),
	OWN("writev"),
};

const size_t n_sandbox_more_calls = sizeof(sandbox_more_calls) / sizeof(sandbox_more_calls[0]);
const bool sandbox_needs_files = true;
