/* SPDX-License-Identifier: ISC */
/* Only in builds with --enable-coverage: children leave by _exit(2), which does not write
 * the counts of lines that ran.  The linker's --wrap leads them through here.
 *
 * libgcov locks each file that it writes, and waits for whoever has it.  Tests stop processes with
 * SIGSTOP, also in the middle of that, and then nobody else could end.  So all take turns at one
 * lock, and whoever does not get it in time ends without its counts. */
#include <fcntl.h>
#include <gcov.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { LOOKS = 200 /* 5 ms apart */ };

_Noreturn void __real__exit(int status);
_Noreturn void __wrap__exit(int status);

/* Who may not open the file can write no counts either, and locks none. */
static bool our_turn(void)
{
	struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	struct timespec pause = {.tv_nsec = 5000000};
	int fd = open(COVERAGE_LOCK, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	int spare = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	close(spare);
	if (spare < 0) { /* libgcov needs the last descriptor */
		close(fd);
		return true;
	}
	for (int i = 0; fd >= 0 && i < LOOKS; i++) {
		if (fcntl(fd, F_SETLK, &all) == 0)
			return true;
		nanosleep(&pause, NULL);
	}
	return fd < 0;
}

void __wrap__exit(int status)
{
	if (our_turn())
		__gcov_dump();
	__real__exit(status);
}

/* exit(3) writes them after this, if it has not been done yet. */
static void before_the_end(int status, void *arg)
{
	(void)arg;
	if (our_turn()) {
		__gcov_dump();
		return;
	}
	fflush(NULL);
	__real__exit(status);
}

static __attribute__((constructor)) void begin(void)
{
	on_exit(before_the_end, NULL);
}
