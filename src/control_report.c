/* SPDX-License-Identifier: ISC */
/* The state of the daemon as JSON.  Times are seconds: since the epoch where something
 * happened, and how long ago by the monotonic clock. */
#include "control_call.h"

#include "conf.h"
#include "conf_schema.h"
#include "conf_value.h"
#include "control.h"
#include "listener.h"
#include "rates.h"
#include "slots.h"
#include "supervisor.h"
#include "totals.h"
#include "varlink.h"

#include "config.h"

#include <string.h>
#include <unistd.h>

static json_t *integer(uint64_t n)
{
	return json_integer((json_int_t)n);
}

static json_t *seconds(uint64_t ms)
{
	return json_real((double)ms / 1000);
}

static json_t *numbers(const uint16_t *list, size_t n)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, json_integer(list[i]));
	return array;
}

/* The number, word or yes and no of KEY; NULL for other types. */
static json_t *setting(const struct conf_key *key, const void *base)
{
	switch (key->type) {
	case KEY_BOOL:
		return json_boolean(*(const bool *)((const char *)base + key->offset));
	case KEY_INT:
	case KEY_SIZE:
		return json_integer(conf_value_number(key, base));
	case KEY_SECONDS:
		return seconds((uint64_t)conf_value_number(key, base));
	case KEY_WORD:
		for (const struct conf_word *w = key->words; w->name; w++)
			if (w->number == conf_value_number(key, base))
				return json_string(w->name);
		return NULL;
	default:
		return NULL;
	}
}

/* What the configuration says of limits and timeouts: every key that is one value, and cpus. */
static json_t *settings(const struct service_conf *service)
{
	json_t *all = json_object();

	for (size_t i = 0; i < n_conf_keys; i++) {
		const struct conf_key *key = &conf_keys[i];
		json_t *value;

		if (!(key->protocols & (1u << service->protocol)) ||
		    strchr(key->path + strlen(CONF_SERVICE), '.'))
			continue;
		value = setting(key, service);
		if (value)
			json_object_set_new(all, key->path + strlen(CONF_SERVICE), value);
	}
	if (service->n_cpus > 0)
		json_object_set_new(all, "cpus", numbers(service->cpus, service->n_cpus));
	return all;
}

static json_t *rate(const struct rate *r)
{
	return json_pack("{s:o s:f s:f s:f s:f s:f}", "seconds", seconds(r ? r->ms : 0),
			 "connections", rate_of(r, C_CONNECTIONS_ACCEPTED), "echoes",
			 rate_of(r, C_ECHOES), "datagrams", rate_of(r, C_DATAGRAMS_IN), "bytes_in",
			 rate_of(r, C_BYTES_IN), "bytes_out", rate_of(r, C_BYTES_OUT));
}

/* The rates of all services together. */
static json_t *all_rates(const struct supervisor *s)
{
	struct rate sum = {.ms = 0};

	for (size_t i = 0; i < s->conf->n_services; i++) {
		const struct rate *r = rates_of(s, i);

		for (int k = 0; r && r->ms && k < N_COUNTERS; k++)
			sum.growth[k] += r->growth[k];
		if (r && r->ms > sum.ms)
			sum.ms = r->ms;
	}
	return rate(&sum);
}

static json_t *listeners(const struct supervisor *s, const struct service_conf *service)
{
	json_t *list = json_array();
	char text[ADDRESS_TEXT_MAX];

	for (const struct listener *l = s->listeners; l; l = l->next)
		if (l->service == service && l->share == 0)
			json_array_append_new(list,
					      varlink_text(
						      address_format(&l->endpoint.address, text)));
	return list;
}

static json_t *worker(const struct member *m, unsigned number, uint64_t now)
{
	return json_pack("{s:i s:i s:b s:o s:i}", "number", (int)number, "pid", (int)m->pid, "up",
			 m->up, "age", seconds(m->pid ? now - m->started : 0), "restarts",
			 (int)(m->starts ? m->starts - 1 : 0));
}

/* What the crews of SERVICE do: the workers of the one that serves, and how much is still
 * open on those that drain. */
static void add_crews(json_t *o, const struct supervisor *s, const struct service_conf *service,
		      uint64_t now)
{
	json_t *workers = json_array();
	uint64_t draining = 0;
	unsigned max_clients = service->max_clients;

	for (const struct crew *c = s->crews; c; c = c->next) {
		if (strcmp(c->name, service->name) != 0)
			continue;
		if (c->draining) {
			draining += c->slots ? slots_used(c->slots) : 0;
			continue;
		}
		max_clients = c->max_clients;
		for (unsigned i = 0; i < c->n_members; i++)
			json_array_append_new(workers, worker(&c->members[i], i + 1, now));
	}
	json_object_set_new(o, "workers", workers);
	if (!protocols[service->protocol].stream)
		return;
	json_object_set_new(o, "max_clients", integer(max_clients));
	json_object_set_new(o, "connections_draining", integer(draining));
}

static json_t *service_status(const struct supervisor *s, size_t i, uint64_t now)
{
	const struct service_conf *service = &s->conf->services[i];
	uint64_t sum[N_COUNTERS] = {0};
	json_t *o;

	totals_sum(s, service->name, sum);
	o = json_pack("{s:o s:s s:s s:s s:o s:o s:o s:o}", "name", varlink_text(service->name),
		      "protocol", protocols[service->protocol].name, "model", service->model->name,
		      "engine", service->engine->name, "listeners", listeners(s, service),
		      "connections", integer(stats_active(sum)), "rates", rate(rates_of(s, i)),
		      "settings", settings(service));
	add_crews(o, s, service, now);
	return o;
}

static json_t *service_stats(const struct supervisor *s, size_t i, uint64_t now)
{
	const struct service_conf *service = &s->conf->services[i];
	json_t *values = json_object();
	uint64_t sum[N_COUNTERS] = {0};

	(void)now;
	totals_sum(s, service->name, sum);
	json_object_set_new(values, "connections_active", integer(stats_active(sum)));
	for (int k = 0; k < N_COUNTERS; k++)
		json_object_set_new(values, counters[k].name, integer(sum[k]));
	return json_pack("{s:o s:s s:o}", "name", varlink_text(service->name), "protocol",
			 protocols[service->protocol].name, "counters", values);
}

/* What MAKE makes of each service, or of the one called NAME. */
static json_t *services(const struct supervisor *s, const char *name, uint64_t now,
			json_t *(*make)(const struct supervisor *, size_t, uint64_t))
{
	json_t *list = json_array();

	for (size_t i = 0; i < s->conf->n_services; i++)
		if (!name || strcmp(s->conf->services[i].name, name) == 0)
			json_array_append_new(list, make(s, i, now));
	return list;
}

static const char *state(const struct supervisor *s)
{
	if (s->stopping)
		return "stopping";
	return s->ready ? "serving" : "starting";
}

/* What workers are shut in by, and what is missing of it. */
static json_t *sandbox(const struct supervisor *s)
{
	static const char *const modes[] = {
		[SANDBOX_AUTO] = "auto",
		[SANDBOX_REQUIRED] = "required",
		[SANDBOX_OFF] = "off",
	};
	const struct sandbox none = {.known = false};
	const struct sandbox *has = s->conf->sandbox == SANDBOX_OFF ? &none : &s->env.sandbox;

	return json_pack("{s:s s:b s:i s:s?}", "mode", modes[s->conf->sandbox], "seccomp",
			 has->seccomp, "landlock", has->landlock, "missing",
			 has->missing[0] ? has->missing : NULL);
}

json_t *control_status(const struct supervisor *s, const char *service, uint64_t now)
{
	const struct control_facts *facts = control_facts(s->control);
	uint64_t active = 0;

	for (size_t i = 0; i < s->conf->n_services; i++) {
		uint64_t sum[N_COUNTERS] = {0};

		totals_sum(s, s->conf->services[i].name, sum);
		active += stats_active(sum);
	}
	return json_pack("{s:s s:i s:s s:f s:o s:{s:o s:f s:o} s:o s:o s:o s:o s:o}", "version",
			 PACKAGE_VERSION, "pid", (int)getpid(), "state", state(s), "started",
			 facts->started, "uptime", seconds(now - facts->started_ms), "config",
			 "file", varlink_text(s->conf->file), "loaded", facts->loaded, "age",
			 seconds(now - facts->loaded_ms), "control", varlink_text(facts->path),
			 "sandbox", sandbox(s), "connections", integer(active), "rates",
			 all_rates(s), "services", services(s, service, now, service_status));
}

json_t *control_stats(const struct supervisor *s, const char *service, uint64_t now)
{
	return json_pack("{s:o s:o}", "uptime",
			 seconds(now - control_facts(s->control)->started_ms), "services",
			 services(s, service, now, service_stats));
}
