/* SPDX-License-Identifier: ISC */
/* Those who ask wait in one list.  An answer is always about a reload that began after the
 * question: one that is in force already has a time in its waiter's since. */
#include "reload.h"

#include "conf.h"
#include "log.h"
#include "setup.h"
#include "supervisor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	DRAINING_MOST = 8, /* old crews of a service that may still drain when a reload begins */
	UP_WITHIN = 20000  /* ms for the new workers to come up before the answer is no */
};

int reload_request(struct supervisor *s, reload_done *done, void *arg)
{
	struct reload_waiter *w;

	if (done) {
		w = calloc(1, sizeof(*w));
		if (!w)
			return -ENOMEM;
		*w = (struct reload_waiter){.next = s->reload.waiters, .done = done, .arg = arg};
		s->reload.waiters = w;
	}
	s->reload.wanted = !s->stopping;
	if (s->stopping)
		reload_expire(s, 0, true);
	return 0;
}

void reload_forget(struct supervisor *s, const void *arg)
{
	struct reload_waiter **at = &s->reload.waiters;

	while (*at) {
		struct reload_waiter *w = *at;

		if (w->arg != arg) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		free(w);
	}
}

/* Take the waiter at *AT out of the list and answer it. */
static void answer(struct reload_waiter **at, const struct problems *problems)
{
	struct reload_waiter *w = *at;

	*at = w->next;
	w->done(w->arg, problems);
	free(w);
}

/* Answer those whose configuration is in force, or those whose is not. */
static void answer_all(struct supervisor *s, bool in_force, const struct problems *problems)
{
	struct reload_waiter **at = &s->reload.waiters;

	while (*at) {
		if (((*at)->since != 0) == in_force)
			answer(at, problems);
		else
			at = &(*at)->next;
	}
}

static void refuse(struct supervisor *s, const struct problems *problems)
{
	for (size_t i = 0; i < problems->n; i++)
		log_problem(problems->line[i]);
	log_event(EVENT_RELOAD_FAILED);
	snprintf(s->reload.why, sizeof(s->reload.why), "%s", problems->line[0]);
	if (s->ready)
		manager_ready(&s->manager);
	answer_all(s, false, problems);
}

/* The old crews that drain, of the service that has most of them. */
static unsigned draining_crews(const struct supervisor *s)
{
	unsigned most = 0;

	for (const struct crew *c = s->crews; c; c = c->next) {
		unsigned n = 0;

		for (const struct crew *d = c; d; d = d->next)
			n += d->draining && strcmp(d->name, c->name) == 0;
		most = n > most ? n : most;
	}
	return most;
}

bool reload_due(const struct supervisor *s)
{
	return s->reload.wanted && draining_crews(s) < DRAINING_MOST;
}

bool reload_now(struct supervisor *s, uint64_t now)
{
	struct problems problems = {.n = 0};
	struct conf *conf;
	bool ok;

	s->reload.wanted = false;
	manager_reloading(&s->manager);
	conf = conf_load(s->source, &problems);
	ok = conf && setup_apply(s, conf, &problems) == 0;
	s->reload.why[0] = '\0';
	if (ok) {
		log_event(EVENT_RELOADED, F_TEXT(FILE, conf->file));
		for (struct reload_waiter *w = s->reload.waiters; w; w = w->next)
			w->since = w->since ? w->since : now;
	} else {
		if (problems.n == 0)
			problems_add(&problems, "out of memory");
		refuse(s, &problems);
		conf_free(conf);
	}
	problems_clear(&problems);
	return ok;
}

void reload_serves(struct supervisor *s)
{
	answer_all(s, true, NULL);
}

void reload_expire(struct supervisor *s, uint64_t now, bool stopping)
{
	struct problems problems = {.n = 0};
	struct reload_waiter **at = &s->reload.waiters;

	if (!*at)
		return;
	if (stopping)
		problems_add(&problems, "echod is stopping");
	else
		problems_add(&problems,
			     "the new configuration is in force, but not all of its "
			     "workers are up after %d s: see the log",
			     UP_WITHIN / 1000);
	while (*at) {
		if (stopping || ((*at)->since && now - (*at)->since >= UP_WITHIN))
			answer(at, &problems);
		else
			at = &(*at)->next;
	}
	problems_clear(&problems);
}
