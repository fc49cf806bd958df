/* SPDX-License-Identifier: ISC */
/* Iterative: one process, one executor.  With the blocking engine it is the first server
 * of every course, one client after the other; with epoll it is the reactor. */
#include "models.h"

#include "executor.h"

static int iterative_run(struct worker *w)
{
	return executor_serve(w, 0);
}

const struct model model_iterative = {
	.name = "iterative",
	.text = "one process serves; with the blocking engine, one client after the other",
	.run = iterative_run,
};
