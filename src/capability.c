/* SPDX-License-Identifier: ISC */
/* A worker has no use for a capability.  The way to give them up is capset(2), and systemd
 * counts it among the calls of the privileged: a unit that refuses those refuses this one,
 * too.  What such a unit gives is CAP_NET_BIND_SERVICE, which one call alone asks for: without
 * bind(2) it is worth nothing. */
#include "capability.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/net.h>
#include <linux/seccomp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Where one call stands for all of a socket's, its first argument says which is meant; its
 * lower half is where the byte order puts it. */
#ifdef __NR_socketcall
# define SOCKETCALL ((uint32_t)__NR_socketcall)
#else
# define SOCKETCALL UINT32_MAX
#endif
enum { LOWER_HALF = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0 };
enum { CAPABILITIES = 32 * _LINUX_CAPABILITY_U32S_3 /* no kernel has more */ };

#define FIELD(name)  BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, name))
#define RETURN(what) BPF_STMT(BPF_RET | BPF_K, what)

/* Nobody may bind from here on.  The filter that refuses capset() is who refuses the calls
 * of other architectures. */
static int forbid_bind(void)
{
	struct sock_filter code[] = {
		FIELD(nr),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_bind, 3, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SOCKETCALL, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
			 offsetof(struct seccomp_data, args[0]) + LOWER_HALF),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_BIND, 0, 1),
		RETURN(SECCOMP_RET_ERRNO | EPERM),
		RETURN(SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) < 0 ? -errno : 0;
}

/* Neither call has a wrapper in libc. */
static struct __user_cap_header_struct header(void)
{
	return (struct __user_cap_header_struct){.version = _LINUX_CAPABILITY_VERSION_3};
}

/* Is there any capability but those in SPARE? */
static bool has_more_than(uint32_t spare)
{
	struct __user_cap_header_struct h = header();
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{.permitted = 0}};

	if (syscall(SYS_capget, &h, data) < 0)
		return true;
	return (data[0].permitted & ~spare) != 0 || data[1].permitted != 0;
}

static int give_up(void)
{
	struct __user_cap_header_struct h = header();
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{.effective = 0}};

	if (syscall(SYS_capset, &h, none) == 0 || !has_more_than(0))
		return 0;
	if (errno != EPERM || has_more_than(1u << CAP_NET_BIND_SERVICE))
		return -EPERM;
	return forbid_bind();
}

void capability_bound(void)
{
	int there = 0;

	for (unsigned long c = 0; c < CAPABILITIES && there >= 0; c++) {
		there = prctl(PR_CAPBSET_READ, c, 0, 0, 0);
		if (there > 0) /* only who has CAP_SETPCAP may */
			there = prctl(PR_CAPBSET_DROP, c, 0, 0, 0);
	}
}

int capability_drop(void)
{
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0 && errno != EINVAL)
		return -errno;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return give_up();
}
