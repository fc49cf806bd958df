/* SPDX-License-Identifier: ISC */
/* For LD_PRELOAD: a ring is for who has CAP_SYS_ADMIN, as kernel.io_uring_disabled = 1 wants it,
 * without the sysctl, which is the whole machine's. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

struct io_uring;
struct io_uring_params;

int io_uring_queue_init_params(unsigned entries, struct io_uring *ring, struct io_uring_params *p);

int io_uring_queue_init_params(unsigned entries, struct io_uring *ring, struct io_uring_params *p)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct has[_LINUX_CAPABILITY_U32S_3] = {0};
	int (*real)(unsigned, struct io_uring *, struct io_uring_params *);

	syscall(SYS_capget, &header, has);
	if (!(has[0].effective & 1u << CAP_SYS_ADMIN))
		return -EPERM;
	*(void **)&real = dlsym(RTLD_NEXT, "io_uring_queue_init_params");
	return real(entries, ring, p);
}
