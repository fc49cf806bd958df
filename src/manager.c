/* SPDX-License-Identifier: ISC */
#include "manager.h"

#include <stdio.h>
#include <string.h>
#include <systemd/sd-daemon.h>
#include <time.h>

enum { MORE_TIME = 10 /* s that a daemon which drains asks for, every second */ };

int manager_open(struct manager *m)
{
	uint64_t usec = 0;
	int r;

	*m = (struct manager){.loading = false};
	r = notify_open(&m->notify);
	if (sd_watchdog_enabled(1, &usec) > 0 && notify_wanted(&m->notify))
		m->period = usec / 2000 ? usec / 2000 : 1;
	return r;
}

/* Type=notify-reload (systemd 253) tells this reload from an older one by the time, which
 * must not be a tick old as timer_now() may be. */
void manager_reloading(struct manager *m)
{
	struct timespec now;

	if (m->loading)
		return;
	m->loading = true;
	clock_gettime(CLOCK_MONOTONIC, &now);
	notify_must(&m->notify, "RELOADING=1\nMONOTONIC_USEC=%llu",
		    (unsigned long long)now.tv_sec * 1000000 +
			    (unsigned long long)now.tv_nsec / 1000);
}

void manager_ready(struct manager *m)
{
	m->loading = false;
	notify_must(&m->notify, "READY=1");
}

void manager_stopping(struct manager *m)
{
	notify_must(&m->notify, "STOPPING=1");
	manager_draining(m);
}

void manager_draining(struct manager *m)
{
	notify_may(&m->notify, "EXTEND_TIMEOUT_USEC=%d", MORE_TIME * 1000000);
}

/* The text of a configuration may be in it: it is one line, whatever that holds. */
void manager_status(struct manager *m, const char *line)
{
	char text[sizeof(m->status)];

	snprintf(text, sizeof(text), "%s", line);
	for (char *p = text; *p; p++)
		if ((unsigned char)*p < ' ' || *p == 127)
			*p = '?';
	if (strcmp(text, m->status) != 0 && notify_may(&m->notify, "STATUS=%s", text))
		memcpy(m->status, text, sizeof(text));
}

uint64_t manager_beat(struct manager *m, uint64_t now)
{
	notify_flush(&m->notify);
	if (m->period == 0)
		return UINT64_MAX;
	if (now >= m->beat_at) {
		m->beat_at = now + m->period;
		notify_may(&m->notify, "WATCHDOG=1");
	}
	return m->beat_at;
}

void manager_close(struct manager *m)
{
	notify_flush(&m->notify);
	notify_close(&m->notify);
}
