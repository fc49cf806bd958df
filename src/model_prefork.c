/* SPDX-License-Identifier: ISC */
/* Preforked: a fixed number of processes, each of which accepts and echoes by itself on the
 * listeners that all share; the textbook's constrained multitasking.  The forks are the
 * supervisor's (crew.c), made before any client comes, so what is left to say here is what
 * each of them does. */
#include "models.h"

#include "executor.h"

static int prefork_run(struct worker *w)
{
	return executor_serve(w, 0);
}

const struct model model_prefork = {
	.name = "prefork",
	.text = "a fixed number of processes, each accepting by itself",
	.many_processes = true,
	.run = prefork_run,
};
