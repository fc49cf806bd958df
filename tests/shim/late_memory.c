/* SPDX-License-Identifier: ISC */
/* For LD_PRELOAD: the memory of rings is somebody's still, who has just ended: each process gets
 * one when it asks for the sixth time. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <unistd.h>

struct io_uring;
struct io_uring_params;

int io_uring_queue_init_params(unsigned entries, struct io_uring *ring, struct io_uring_params *p);

int io_uring_queue_init_params(unsigned entries, struct io_uring *ring, struct io_uring_params *p)
{
	static pid_t asking;
	static int asked;
	int (*real)(unsigned, struct io_uring *, struct io_uring_params *);

	if (asking != getpid()) {
		asking = getpid();
		asked = 0;
	}
	if (asked++ < 5)
		return -ENOMEM;
	*(void **)&real = dlsym(RTLD_NEXT, "io_uring_queue_init_params");
	return real(entries, ring, p);
}
