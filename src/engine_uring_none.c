/* SPDX-License-Identifier: ISC */
/* The engine of a build without liburing: known by its name, and refused with the reason. */
#include "engines.h"

#include <errno.h>
#include <stdio.h>

static int none_probe(char *text, size_t size)
{
	snprintf(text, size, "echod was built without liburing");
	return -ENOSYS;
}

static int none_serve(struct executor *ex)
{
	(void)ex;
	return -ENOSYS;
}

const struct engine engine_uring = {
	.name = "io_uring",
	.text = "many clients at once, by io_uring(7); not in this build",
	.serve = none_serve,
	.probe = none_probe,
	.substitute = &engine_epoll,
};
