/* SPDX-License-Identifier: ISC */
/* The control socket and who is connected to it.
 *
 * None of this may keep the supervisor from its work: events of clients come after all
 * others, one call of one client at a time; nothing blocks; a client has one request and one
 * reply in memory at most, and is read again only when it has taken the reply.  Places are
 * few.  Whoever comes when all are taken gets the place of the one that has been silent
 * longest, and strangers cannot take the places that are kept for root. */
#include "control.h"

#include "conf.h"
#include "control_call.h"
#include "control_client.h"
#include "listener.h"
#include "log.h"
#include "supervisor.h"
#include "timer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
	BACKLOG = 128, /* that wait to be accepted */
	CLIENTS = 64,  /* in all */
	STRANGERS = 48 /* of them, who are neither root nor the daemon's own user */
};

struct control {
	struct supervisor *s;
	sd_event *event;
	struct listener *listener; /* NULL: none is configured */
	sd_event_source *source;   /* of the listener */
	struct listener *coming;   /* of the configuration that is being set up */
	bool keep;                 /* it wants the very socket that there is */
	struct control_client *clients;
	char path[ADDRESS_TEXT_MAX]; /* of the listener, for people */
	struct control_facts facts;
};

struct control *control_new(struct supervisor *s, sd_event *event)
{
	struct control *c = calloc(1, sizeof(*c));
	struct timespec now;

	if (!c)
		return NULL;
	clock_gettime(CLOCK_REALTIME, &now);
	c->s = s;
	c->event = event;
	c->facts.path = c->path;
	c->facts.started = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
	c->facts.started_ms = timer_now();
	return c;
}

const struct control_facts *control_facts(const struct control *c)
{
	return &c->facts;
}

/* The path that CONF names, into BUF; "" for none. */
static void find_path(const struct conf *conf, char *buf, size_t size)
{
	const char *directory = getenv("RUNTIME_DIRECTORY");

	/* systemd may name several, with colons between them. */
	if (conf->control[0] || !directory || !directory[0])
		snprintf(buf, size, "%s", conf->control);
	else
		snprintf(buf, size, "%.*s/control", (int)strcspn(directory, ":"), directory);
}

int control_prepare(struct control *c, const struct conf *conf, struct problems *problems)
{
	static char name[] = "control", none[] = "";
	struct service_conf service = {
		.name = name,
		.protocol = PROTO_UNIX,
		.mode = 0666,
		.backlog = BACKLOG,
		.udp.interface = none,
	};
	struct listener_error error = {.what = "address", .error = ENAMETOOLONG};
	struct address address;
	const char *why;
	char path[512];

	c->keep = false;
	find_path(conf, path, sizeof(path));
	if (!path[0])
		return 0;
	if (address_parse_unix(path, &address, &why) < 0) {
		problems_add(problems, "control: \"%s\": %s", path, why);
		return -EINVAL;
	}
	c->keep = c->listener && address_equal(&c->listener->asked, &address) &&
		  listener_reachable(c->listener);
	if (c->keep)
		return 0;
	c->coming = listener_open(&service, &address, &error);
	if (c->coming)
		return 0;
	errno = error.error;
	problems_add(problems, "control: cannot listen on %s: %s: %m", path, error.what);
	return -error.error;
}

/* The socket that there was, for the one that is coming, which may be none. */
static void replace(struct control *c)
{
	c->source = sd_event_source_disable_unref(c->source);
	listener_close(c->listener);
	c->listener = c->coming;
	c->coming = NULL;
	c->path[0] = '\0';
	if (c->listener)
		address_format(&c->listener->asked, c->path);
}

static size_t count(const struct control *c, bool strangers_alone)
{
	size_t n = 0;

	for (const struct control_client *k = c->clients; k; k = k->next)
		n += !strangers_alone || !k->trusted;
	return n;
}

/* The client that has done nothing for the longest time, waiting for a reload aside. */
static struct control_client *most_silent(const struct control *c, bool strangers_alone)
{
	struct control_client *found = NULL;

	for (struct control_client *k = c->clients; k; k = k->next)
		if (!k->reloading && !(strangers_alone && k->trusted) &&
		    (!found || k->active <= found->active))
			found = k;
	return found;
}

static void end(struct control *c, struct control_client *k)
{
	struct control_client **at = &c->clients;

	while (*at != k)
		at = &(*at)->next;
	*at = k->next;
	control_client_free(k);
}

static int on_client(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct control_client *k = arg;

	(void)source;
	(void)fd;
	if (!control_client_serve(k, events))
		end(k->control, k);
	return 0;
}

/* A place for one more, whom FD leads to. */
static void take(struct control *c, int fd)
{
	struct control_client *k = control_client_new(c->s, fd);
	bool strangers_alone;

	if (!k) {
		close(fd);
		return;
	}
	strangers_alone = !k->trusted && count(c, true) >= STRANGERS;
	if (strangers_alone || count(c, false) >= CLIENTS) {
		struct control_client *silent = most_silent(c, strangers_alone || !k->trusted);

		if (silent)
			end(c, silent);
	}
	k->control = c;
	k->next = c->clients;
	c->clients = k;
	if (count(c, false) > CLIENTS ||
	    sd_event_add_io(c->event, &k->source, fd, EPOLLIN, on_client, k) < 0 ||
	    sd_event_source_set_priority(k->source, SD_EVENT_PRIORITY_IDLE) < 0)
		end(c, k);
}

/* Out of descriptors: the socket would stay readable, so look away until the next check. */
static int on_listener(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct control *c = arg;
	int client = accept4(fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (client >= 0)
		take(c, client);
	else if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED) {
		log_repeated(LOG_WARNING, "control: accept: %m");
		sd_event_source_set_enabled(source, SD_EVENT_OFF);
	}
	return 0;
}

static int watch(struct control *c)
{
	int r = sd_event_add_io(c->event, &c->source, c->listener->endpoint.fd, EPOLLIN,
				on_listener, c);

	return r < 0 ? r : sd_event_source_set_priority(c->source, SD_EVENT_PRIORITY_IDLE);
}

void control_settle(struct control *c, bool in_force)
{
	struct timespec now;

	if (!in_force) {
		c->coming = listener_close(c->coming);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	c->facts.loaded = (double)now.tv_sec + (double)now.tv_nsec / 1e9;
	c->facts.loaded_ms = timer_now();
	if (c->keep)
		return;
	replace(c);
	if (c->listener && watch(c) < 0)
		log_err("control: %s is not watched: out of memory", c->path);
	else if (c->listener)
		log_info("control: listening on %s", c->path);
}

void control_check(struct control *c, uint64_t now)
{
	struct control_client *next;

	for (struct control_client *k = c->clients; k; k = next) {
		next = k->next;
		if (control_client_silent(k, now))
			end(c, k);
	}
	if (c->source)
		sd_event_source_set_enabled(c->source, SD_EVENT_ON);
}

struct control *control_free(struct control *c)
{
	if (!c)
		return NULL;
	while (c->clients)
		end(c, c->clients);
	c->coming = listener_close(c->coming);
	replace(c);
	free(c);
	return NULL;
}
