/* SPDX-License-Identifier: ISC */
/* Start and reload are the same: a reload only finds most of it there already.
 *
 * What can fail comes first and touches nothing that is in use: sockets are opened, options
 * are tried, memory is mapped.  Then comes the swap, which cannot fail.  A listener that
 * both configurations name stays the very same socket, so no client is refused; a service
 * whose configuration is the same to the letter keeps its workers. */
#include "setup.h"

#include "claim.h"
#include "conf.h"
#include "control.h"
#include "listener.h"
#include "log.h"
#include "own.h"
#include "process.h"
#include "setup_log.h"
#include "shares.h"
#include "supervisor.h"
#include "timer.h"
#include "trial.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { PATIENCE = 100 /* ms that a start or reload gives a logger that is behind */ };

/* What is to be done for one service. */
struct part {
	const struct service_conf *service;
	struct claim claim; /* its listeners */
	struct crew *kept;  /* its crew, if nothing has changed */
	struct crew *made;  /* else a new one */
};

/* One transition. */
struct setup {
	struct supervisor *s;
	struct conf *conf;
	struct problems *problems;
	struct part *parts;       /* conf->n_services */
	struct listener *opened;  /* new ones, not yet the supervisor's */
	struct identity identity; /* of its workers */
	bool same_globals;
};

static char *dump(const struct service_conf *service)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	conf_dump_service(service, f);
	fclose(f);
	return text;
}

/* The same configuration to the letter?  In doubt, no. */
static bool same_service(const struct service_conf *a, const struct service_conf *b)
{
	char *one = dump(a), *two = dump(b);
	bool same = one && two && strcmp(one, two) == 0;

	free(one);
	free(two);
	return same;
}

/* What is not of a service but reaches its workers. */
static bool same_globals(const struct conf *a, const struct conf *b)
{
	const struct process_conf *p = &a->process, *q = &b->process;

	return a->log.level == b->log.level && a->log.connections == b->log.connections &&
	       a->log.client == b->log.client && p->open_files == q->open_files &&
	       p->processes == q->processes && p->memory == q->memory && p->core == q->core &&
	       p->locked_memory == q->locked_memory && p->thread_stack == q->thread_stack &&
	       (a->sandbox == SANDBOX_OFF) == (b->sandbox == SANDBOX_OFF) && p->nice == q->nice &&
	       strcmp(p->user, q->user) == 0 && strcmp(p->group, q->group) == 0;
}

static struct crew *current_crew(const struct supervisor *s, const char *name)
{
	for (struct crew *c = s->crews; c; c = c->next)
		if (!c->draining && strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

/* Does C watch the very sockets that PART has?  The words of the configuration may be the
 * same, and what they lead to not: IPv6 came up, a UNIX socket's file was lost. */
static bool same_sockets(const struct crew *c, const struct part *part)
{
	bool same = c->n_endpoints * c->rows == part->claim.n;

	for (size_t i = 0; i < part->claim.n && same; i++)
		same = c->endpoints[i].fd == part->claim.listeners[i]->endpoint.fd;
	return same;
}

static int make_crew(struct setup *t, struct part *part)
{
	struct crew_sockets sockets = {.n = part->claim.n / part->claim.rows,
				       .rows = part->claim.rows};
	struct crew *old = current_crew(t->s, part->service->name);
	int r;

	if (old && t->same_globals && same_service(old->service, part->service) &&
	    same_sockets(old, part)) {
		part->kept = old;
		return 0;
	}
	r = trial_of(t->conf, part->service, &t->identity, t->s->conf, t->problems);
	if (r < 0)
		return r;
	sockets.endpoints = calloc(part->claim.n, sizeof(*sockets.endpoints));
	if (!sockets.endpoints)
		return -ENOMEM;
	for (size_t i = 0; i < part->claim.n; i++)
		sockets.endpoints[i] = part->claim.listeners[i]->endpoint;
	part->made = crew_new(t->conf, part->service, &sockets, &t->s->env);
	free(sockets.endpoints);
	if (part->made)
		return 0;
	r = -errno;
	problems_add(t->problems, "service=%s cannot be set up: %m", part->service->name);
	return r;
}

static void log_failure(const struct part *part, const struct listener *l,
			const struct listener_error *error)
{
	char text[ADDRESS_TEXT_MAX];

	log_event(EVENT_LISTENER_FAILED, F_TEXT(SERVICE, part->service->name),
		  F_TEXT(ADDRESS, address_format(&l->endpoint.address, text)),
		  F_TEXT(WHAT, error->what), F_NUMBER(ERRNO, error->error));
}

/* A listener that was not there before is told of, and kept by the manager from now on. */
static void settle_new(const struct setup *t, const struct part *part, struct listener *l)
{
	bool taken_over = l->taken_over;
	struct listener_error error;
	char text[ADDRESS_TEXT_MAX];

	address_format(&l->endpoint.address, text);
	if (taken_over && listener_options_renew(l, part->service, &error) < 0)
		log_failure(part, l, &error);
	if (l->share == 0)
		log_event(EVENT_LISTENING, F_TEXT(SERVICE, part->service->name),
			  F_TEXT(ADDRESS, text),
			  F_TEXT(TEXT, taken_over ? " (taken over from systemd)" : NULL));
	listener_store(l, &t->s->manager.notify);
	if (l->share == 0)
		listener_options_log(l, part->service);
}

/* The options of a listener that stays. */
static void settle_old(const struct part *part, struct listener *l)
{
	struct listener_error error;

	if (!part->kept && listener_options_change(l, l->service, part->service, &error) < 0)
		log_failure(part, l, &error);
}

static void settle_listeners(const struct setup *t, const struct part *part)
{
	struct listener_error error;

	for (size_t i = 0; i < part->claim.n; i++) {
		struct listener *l = part->claim.listeners[i];

		if (l->service == part->service)
			continue; /* it stands in each row */
		l->shares = part->claim.several && !l->from;
		if (l->service)
			settle_old(part, l);
		else
			settle_new(t, part, l);
		if (listener_settle(l, part->service, &error) < 0)
			log_failure(part, l, &error);
		l->service = part->service;
	}
}

/* Those of the list that nobody wants any more are closed; the rest are S's. */
static void keep_wanted(struct supervisor *s, struct listener *opened)
{
	struct listener **at = &s->listeners;

	while (*at)
		at = &(*at)->next;
	*at = opened;
	for (at = &s->listeners; *at;) {
		struct listener *l = *at;

		if (l->wanted) {
			l->wanted = false;
			at = &l->next;
			continue;
		}
		*at = l->next;
		listener_drop(l, &s->manager.notify);
		s->let_go_at = timer_now();
	}
}

static void set_own(struct supervisor *s)
{
	own_clear(s->own, &s->env.key);
	for (struct listener *l = s->listeners; l; l = l->next)
		if (!protocols[l->protocol].stream)
			own_add(s->own, &l->endpoint.address);
}

/* The service of the new configuration with the name of C, or NULL. */
static const struct service_conf *successor(const struct setup *t, const struct crew *c)
{
	for (size_t i = 0; i < t->conf->n_services; i++)
		if (strcmp(t->conf->services[i].name, c->name) == 0)
			return &t->conf->services[i];
	return NULL;
}

/* Clients of C that its successor would not let in are closed, all others drain. */
static void drain(const struct setup *t, struct crew *c, uint64_t now)
{
	const struct service_conf *next = successor(t, c);

	if (next && !c->draining)
		crew_bar(c, &next->access);
	crew_drain(c, now, t->conf->shutdown_timeout);
}

/* Kept crews go on under the new configuration, all others drain, new ones start. */
static void change_crews(struct setup *t, uint64_t now)
{
	for (struct crew *c = t->s->crews; c; c = c->next) {
		bool kept = false;

		for (size_t i = 0; i < t->conf->n_services; i++) {
			if (t->parts[i].kept != c)
				continue;
			kept = true;
			c->conf = t->conf;
			c->service = t->parts[i].service;
		}
		if (!kept)
			drain(t, c, now);
	}
	for (size_t i = 0; i < t->conf->n_services; i++) {
		struct crew *made = t->parts[i].made;

		if (!made)
			continue;
		made->next = t->s->crews;
		t->s->crews = made;
		setup_log_service(t->parts[i].service, made);
	}
}

static void swap(struct setup *t)
{
	struct supervisor *s = t->s;
	uint64_t now = timer_now();

	s->env.identity = t->identity;
	log_set_level(t->conf->log.level);
	log_set_patience(PATIENCE);
	if (!t->same_globals)
		process_log_limits(&t->conf->process);
	setup_log_engine(t->conf);
	if (!s->conf || s->conf->sandbox != t->conf->sandbox)
		setup_log_sandbox(t->conf, &s->env.sandbox);
	for (size_t i = 0; i < t->conf->n_services; i++)
		settle_listeners(t, &t->parts[i]);
	keep_wanted(s, t->opened);
	if (!s->conf)
		claim_end(s);
	set_own(s);
	change_crews(t, now);
	log_set_patience(0);
	conf_free(s->conf);
	s->conf = t->conf;
	/* The new start before the old have noticed that they are to stop. */
	for (struct crew *c = s->crews; c; c = c->next)
		crew_start(c, now);
}

static void undo(struct setup *t)
{
	for (struct listener *l = t->s->listeners; l; l = l->next) {
		l->wanted = false;
		if (listener_can_share(l->protocol))
			listener_share_port(l->endpoint.fd, l->service, l->shares);
	}
	while (t->opened) {
		struct listener *l = t->opened;

		t->opened = l->next;
		listener_close(l);
	}
	for (size_t i = 0; i < t->conf->n_services; i++)
		if (t->parts[i].made)
			crew_free(t->parts[i].made);
}

/* A sandbox that is required must be there as a whole. */
static int find_sandbox(struct setup *t)
{
	struct sandbox *sandbox = &t->s->env.sandbox;
	int r = t->conf->sandbox == SANDBOX_OFF ? 0 : sandbox_find(sandbox);

	if (r < 0 || t->conf->sandbox != SANDBOX_REQUIRED || !sandbox->missing[0])
		return r;
	problems_add(t->problems, "sandbox is required, but this system has %s", sandbox->missing);
	return -EOPNOTSUPP;
}

/* Who the workers will be: only root can make them somebody else. */
static int find_identity(struct setup *t)
{
	const char *who = "";
	int r = process_identity(&t->conf->process, &t->identity, &who);

	if (r == -ENOENT)
		problems_add(t->problems,
			     "process.user, process.group: there is no '%s' on this system", who);
	else if (r < 0)
		problems_add(t->problems, "process.user, process.group: only root can become '%s'",
			     who);
	return r;
}

int setup_apply(struct supervisor *s, struct conf *conf, struct problems *problems)
{
	struct setup t = {
		.s = s,
		.conf = conf,
		.problems = problems,
		.same_globals = s->conf && same_globals(s->conf, conf),
	};
	int r;

	t.parts = calloc(conf->n_services, sizeof(*t.parts));
	if (!t.parts)
		return -ENOMEM;
	process_raise_files(&conf->process);
	r = find_identity(&t);
	if (r == 0)
		r = find_sandbox(&t);
	if (r == 0 && !s->conf)
		claim_begin(s, conf);
	if (r == 0)
		r = control_prepare(s->control, conf, problems);
	for (size_t i = 0; i < conf->n_services && r == 0; i++) {
		t.parts[i].service = &conf->services[i];
		r = claim_listeners(s, &conf->services[i], &t.opened, &t.parts[i].claim, problems);
	}
	/* What is hashed to a new socket is lost if it is closed again: all that is likely to fail
	 * comes before. */
	for (size_t i = 0; i < conf->n_services && r == 0; i++)
		r = shares_claim(s, &conf->services[i], &t.opened, &t.parts[i].claim);
	for (size_t i = 0; i < conf->n_services && r == 0; i++)
		r = make_crew(&t, &t.parts[i]);
	if (r == 0)
		swap(&t);
	else
		undo(&t);
	control_settle(s->control, r == 0);
	for (size_t i = 0; i < conf->n_services; i++)
		free(t.parts[i].claim.listeners);
	free(t.parts);
	return r;
}
