/* SPDX-License-Identifier: ISC */
/* From the fork to the model: what a worker puts off and how it ends.
 *
 * Signals do not steer a worker, the leash does: those that reach a whole process group or
 * control group (a terminal's Ctrl-C, systemd's stop) are the supervisor's to answer. */
#include "worker.h"

#include "conf.h"
#include "log.h"
#include "process.h"
#include "sandbox.h"
#include "slots.h"

#include <errno.h>
#include <stdlib.h>
#include <sysexits.h>
#include <unistd.h>

static void keep_own(const struct worker *w)
{
	size_t n_sockets = w->n_endpoints * w->rows, n = 0;
	int *keep = calloc(n_sockets + 4, sizeof(*keep));

	if (!keep)
		_exit(EX_OSERR);
	for (size_t i = 0; i < n_sockets; i++)
		keep[n++] = w->sockets[i].fd;
	keep[n++] = w->leash;
	keep[n++] = w->hello;
	keep[n++] = log_sink();
	if (w->slots)
		keep[n++] = w->slots->bell;
	process_keep_only(keep, n);
	free(keep);
}

void worker_main(struct worker *w)
{
	int r;

	process_title("%s %s worker %u", w->conf->name, w->conf->model->name, w->number);
	keep_own(w);
	process_ignore_signals();
	process_limit(w->process);
	w->capacity = process_capacity();
	r = process_drop_privileges(&w->identity);
	process_wake_with_parents_death();
	if (r == 0)
		r = sandbox_hide_names(w->sandbox, w->conf->protocol == PROTO_UNIX_DGRAM);
	if (r == 0)
		r = w->conf->model->run(w);
	if (r < 0)
		log_event(EVENT_WORKER_CANNOT_SERVE, F_TEXT(SERVICE, w->conf->name),
			  F_NUMBER(WORKER, w->number), F_NUMBER(ERRNO, -r));
	_exit(r < 0 ? EX_OSERR : EXIT_SUCCESS);
}
