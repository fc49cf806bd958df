/* SPDX-License-Identifier: ISC */
/* Workers that live and do not serve: they hang, or somebody has stopped them. */
#include "crew.h"

#include "crew_memory.h"
#include "log.h"

#include <signal.h>

enum {
	HANG = 10,           /* regular looks, a second apart, until stuck is too long */
	STOPPED_MOST = 10000 /* ms */
};

void crew_stopped(struct crew *c, pid_t pid, bool stopped, uint64_t now)
{
	for (unsigned i = 0; i < c->n_members; i++)
		if (c->members[i].pid == pid)
			c->members[i].stopped_since = stopped ? now : 0;
}

/* Has an executor of member I been awake since the last look without falling asleep once? */
static bool stuck(struct crew *c, unsigned i)
{
	bool any = false;

	for (unsigned b = 0; b < c->blocks_per_member; b++) {
		size_t n = (size_t)i * c->blocks_per_member + b;
		uint32_t beat = c->stats[n].beat;

		any |= (beat & 1) && beat == c->last_beats[n];
		c->last_beats[n] = beat;
	}
	return any;
}

bool crew_is_deaf(const struct crew *c, uint64_t now)
{
	size_t n = (size_t)c->n_members * c->blocks_per_member;

	if (now >= c->deaf_at)
		return true;
	for (size_t i = 0; i < n; i++) {
		const struct stats *s = &c->stats[i];

		if (c->members[i / c->blocks_per_member].pid > 0 && !s->shared && !s->deaf)
			return false;
	}
	return true;
}

void crew_check(struct crew *c, uint64_t now)
{
	if (c->barring) /* whoever was taken while the first were marked */
		crew_memory_bar(c, &c->allowed);
	for (unsigned i = 0; i < c->n_members; i++) {
		struct member *m = &c->members[i];

		if (m->pid == 0)
			continue;
		m->stuck = stuck(c, i) ? m->stuck + 1 : 0;
		if (m->stuck < HANG &&
		    !(m->stopped_since && now - m->stopped_since >= STOPPED_MOST))
			continue;
		log_event(EVENT_WORKER_STUCK, F_TEXT(SERVICE, c->name), F_NUMBER(WORKER, i + 1),
			  F_NUMBER(PID, m->pid),
			  F_TEXT(STATE, m->stopped_since ? "is stopped" : "hangs"));
		kill(m->pid, SIGKILL);
	}
}
