/* SPDX-License-Identifier: ISC */
/* Filters of a build without libseccomp: there are none. */
#include "sandbox_filter.h"

#include <errno.h>
#include <linux/filter.h>
#include <stdio.h>

int filter_make(unsigned parts, struct sock_fprog *out)
{
	(void)parts;
	(void)out;
	return -EOPNOTSUPP;
}

int filter_make_less(unsigned from, unsigned parts, struct sock_fprog *out)
{
	(void)from;
	return filter_make(parts, out);
}

void filter_free(struct sock_fprog *program)
{
	*program = (struct sock_fprog){.filter = NULL};
}

int filter_load(const struct sock_fprog *program)
{
	(void)program;
	return -EOPNOTSUPP;
}

char *filter_call_name(int number, char *buf, size_t size)
{
	snprintf(buf, size, "%d", number);
	return buf;
}
