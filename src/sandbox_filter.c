/* SPDX-License-Identifier: ISC */
/* Filters by libseccomp.  What nobody knows yet is answered as an old kernel would, so that a
 * newer libc finds its way; therefore that is the default, and each call with a name that is not
 * allowed has a rule.  A tree by numbers finds the rule in a few steps.
 *
 * A program is made once, in the supervisor, and loaded as often as there are processes. */
#include "sandbox_filter.h"

#include "memory.h"
#include "read_all.h"
#include "sandbox_calls.h"

#include <errno.h>
#include <linux/bpf_common.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
	NUMBERS = 1024,  /* no architecture that begins at 0 has as many calls */
	MEMORY = 4 << 20 /* bytes, more than a filter takes to make */
};

static const uint32_t actions[] = {
	[SANDBOX_ALLOW] = SCMP_ACT_ALLOW,
	[SANDBOX_ENOSYS] = SCMP_ACT_ERRNO(ENOSYS),
	[SANDBOX_EACCES] = SCMP_ACT_ERRNO(EACCES),
	[SANDBOX_EPERM] = SCMP_ACT_ERRNO(EPERM),
};

/* Does row C say something to a process with PARTS, on this architecture? */
static bool concerns(const struct sandbox_call *c, unsigned parts)
{
	return c->parts & parts &&
	       (!c->instead_of || seccomp_syscall_resolve_name(c->instead_of) < 0);
}

/* The row of call NAME for PARTS; what a build needs besides goes before. */
static const struct sandbox_call *row_of(const char *name, unsigned parts)
{
	for (size_t i = 0; i < n_sandbox_more_calls; i++)
		if (strcmp(sandbox_more_calls[i].name, name) == 0 &&
		    concerns(&sandbox_more_calls[i], parts))
			return &sandbox_more_calls[i];
	for (size_t i = 0; i < n_sandbox_calls; i++)
		if (strcmp(sandbox_calls[i].name, name) == 0 && concerns(&sandbox_calls[i], parts))
			return &sandbox_calls[i];
	return NULL;
}

static int add_masked(scmp_filter_ctx ctx, uint32_t action, int number, unsigned arg, uint32_t mask,
		      uint32_t value)
{
	struct scmp_arg_cmp cmp = SCMP_CMP64(arg, SCMP_CMP_MASKED_EQ, mask, value);

	return seccomp_rule_add_array(ctx, action, number, 1, &cmp);
}

/* As row C says: the call is allowed if the bits that it looks at are right, and forbidden if
 * any of them is not. */
static int add_row(scmp_filter_ctx ctx, int number, const struct sandbox_call *c)
{
	int r;

	if (c->mask == 0)
		return seccomp_rule_add_array(ctx, actions[c->action], number, 0, NULL);
	r = add_masked(ctx, actions[c->action], number, c->arg, c->mask, c->value);
	for (uint32_t bit = 1; bit && r == 0; bit <<= 1)
		if (c->mask & bit)
			r = add_masked(ctx, SCMP_ACT_TRAP, number, c->arg, bit, ~c->value & bit);
	return r;
}

static int add_all(scmp_filter_ctx ctx, unsigned parts)
{
	int r = 0;

	for (int number = 0; number < NUMBERS && r == 0; number++) {
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);
		const struct sandbox_call *c = name ? row_of(name, parts) : NULL;

		if (c && actions[c->action] != SCMP_ACT_ERRNO(ENOSYS))
			r = add_row(ctx, number, c);
		else if (name && !c)
			r = seccomp_rule_add_array(ctx, SCMP_ACT_TRAP, number, 0, NULL);
		free(name);
	}
	return r;
}

/* Calls that are allowed to FROM, and not to PARTS. */
static int add_less(scmp_filter_ctx ctx, unsigned from, unsigned parts)
{
	int r = 0;

	for (int number = 0; number < NUMBERS && r == 0; number++) {
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);

		if (name && row_of(name, from) && !row_of(name, parts))
			r = seccomp_rule_add_array(ctx, SCMP_ACT_TRAP, number, 0, NULL);
		free(name);
	}
	return r;
}

/* Write the program of CTX to a socket, and read it into the MAX bytes of CODE.  A socket is no
 * file that may not grow (RLIMIT_FSIZE), and has room for the longest.  Returns its size, or
 * -errno. */
static ssize_t export(scmp_filter_ctx ctx, struct sock_filter *code, size_t max)
{
	int fd[2];
	ssize_t r;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fd) < 0)
		return -errno;
	r = seccomp_export_bpf(ctx, fd[1]);
	close(fd[1]);
	if (r == 0)
		r = read_all(fd[0], code, max);
	close(fd[0]);
	return r;
}

/* Take the program of CTX out: not every libseccomp can give it but to a descriptor. */
static int take_out(scmp_filter_ctx ctx, struct sock_fprog *out)
{
	const size_t max = BPF_MAXINSNS * sizeof(struct sock_filter);
	struct sock_filter *code = malloc(max), *cut;
	ssize_t size = code ? export(ctx, code, max) : -ENOMEM;

	if (size <= 0) {
		free(code);
		return size < 0 ? (int)size : -ENOMEM;
	}
	*out = (struct sock_fprog){.len = (unsigned short)((size_t)size / sizeof(*code)),
				   .filter = code};
	cut = realloc(code, (size_t)size);
	if (cut)
		out->filter = cut;
	return 0;
}

/* libseccomp does not survive everything that malloc(3) may refuse it, and neither a start nor a
 * reload may end by abort(3): see first that there is enough. */
static scmp_filter_ctx begin(uint32_t otherwise)
{
	scmp_filter_ctx ctx = memory_for(MEMORY) ? seccomp_init(otherwise) : NULL;

	if (!ctx)
		return NULL;
	/* Without the tree it works, too: libseccomp before 2.5. */
	seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) == 0)
		return ctx;
	seccomp_release(ctx);
	return NULL;
}

/* CTX, to which all was added if R is 0, is done with: its program is OUT.  Returns R, or what
 * went wrong. */
static int finish(scmp_filter_ctx ctx, int r, struct sock_fprog *out)
{
	if (r == 0)
		r = take_out(ctx, out);
	if (ctx)
		seccomp_release(ctx);
	return r;
}

int filter_make(unsigned parts, struct sock_fprog *out)
{
	scmp_filter_ctx ctx = begin(SCMP_ACT_ERRNO(ENOSYS));
	int r = ctx ? add_all(ctx, parts) : -ENOMEM;

	return finish(ctx, r, out);
}

int filter_make_less(unsigned from, unsigned parts, struct sock_fprog *out)
{
	scmp_filter_ctx ctx = begin(SCMP_ACT_ALLOW);
	int r = ctx ? add_less(ctx, from, parts) : -ENOMEM;

	return finish(ctx, r, out);
}

void filter_free(struct sock_fprog *program)
{
	free(program->filter);
	*program = (struct sock_fprog){.filter = NULL};
}

int filter_load(const struct sock_fprog *program)
{
	long r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, program);

	if (r > 0) /* the thread that cannot have it */
		return -EBUSY;
	return r < 0 ? -errno : 0;
}

char *filter_call_name(int number, char *buf, size_t size)
{
	char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);

	if (name)
		snprintf(buf, size, "%s", name);
	else
		snprintf(buf, size, "%d", number);
	free(name);
	return buf;
}
