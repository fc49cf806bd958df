/* SPDX-License-Identifier: ISC */
/* Landlock by its system calls, which libc does not have.  A set of rules names what is
 * forbidden from now on unless a rule allows it; ours has no rule.  Each version of the kernel's
 * interface can forbid more; headers may be older than the kernel, so the numbers are here. */
#include "landlock.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BITS(n) ((UINT64_C(1) << (n)) - 1)

/* The same on every architecture but Alpha. */
#ifndef SYS_landlock_create_ruleset
# define SYS_landlock_create_ruleset 444
# define SYS_landlock_restrict_self  446
#endif
enum { CREATE_RULESET_VERSION = 1 };
enum { SCOPE_ABSTRACT_UNIX_SOCKET = 1 << 0, SCOPE_SIGNAL = 1 << 1 };

/* struct landlock_ruleset_attr, as far as it has grown. */
struct ruleset {
	uint64_t files; /* handled_access_fs: reading, writing, making, ... */
	uint64_t ports; /* handled_access_net: bind and connect of TCP */
	uint64_t scoped;
};

/* What a version can forbid, and how much of the structure it knows. */
static const struct level {
	int version;
	struct ruleset all;
	size_t size;
} levels[] = {
	{6, {BITS(16), BITS(2), SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL}, sizeof(struct ruleset)},
	{5, {BITS(16), BITS(2), 0}, offsetof(struct ruleset, scoped)},
	{4, {BITS(15), BITS(2), 0}, offsetof(struct ruleset, scoped)},
	{3, {BITS(15), 0, 0}, offsetof(struct ruleset, ports)},
	{2, {BITS(14), 0, 0}, offsetof(struct ruleset, ports)},
	{1, {BITS(13), 0, 0}, offsetof(struct ruleset, ports)},
};

int landlock_version(void)
{
	long r = syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);

	return r < 0 ? -errno : (int)r;
}

int landlock_enter(int version, bool replies, bool files)
{
	const struct level *level = levels;
	struct ruleset all;
	int fd, r;

	while (level->version > version && level->version > 1)
		level++;
	all = level->all;
	if (replies)
		all.scoped &= ~(uint64_t)SCOPE_ABSTRACT_UNIX_SOCKET;
	if (files)
		all.files = 0;
	if (!(all.files | all.ports | all.scoped))
		return 0; /* the kernel takes no empty set */
	fd = (int)syscall(SYS_landlock_create_ruleset, &all, level->size, 0);
	if (fd < 0)
		return -errno;
	r = syscall(SYS_landlock_restrict_self, fd, 0) < 0 ? -errno : 0;
	close(fd);
	return r;
}
