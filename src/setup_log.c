/* SPDX-License-Identifier: ISC */
/* What a new configuration has come to. */
#include "setup_log.h"

#include "conf.h"
#include "crew.h"
#include "log.h"
#include "sandbox.h"

#include <stdio.h>

void setup_log_service(const struct service_conf *c, const struct crew *crew)
{
	unsigned max_clients = crew->max_clients;
	char text[300];
	size_t n;

	n = (size_t)snprintf(text, sizeof(text), "model=%s engine=%s workers=%u", c->model->name,
			     c->engine->name, c->workers);
	if (crew->slots)
		snprintf(text + n, sizeof(text) - n,
			 " max_clients=%u backlog=%u buffer=%u idle_timeout=%g lifetime=%g "
			 "write_timeout=%g",
			 max_clients, c->backlog, c->buffer, c->idle_timeout / 1e3,
			 c->lifetime / 1e3, c->write_timeout / 1e3);
	log_event(EVENT_SERVICE, F_TEXT(SERVICE, c->name), F_TEXT(SETTINGS, text));
	if (crew->slots && max_clients < c->max_clients)
		log_event(EVENT_LIMIT_LOWERED, F_TEXT(SERVICE, c->name),
			  F_NUMBER(MAX_CLIENTS_ASKED, c->max_clients),
			  F_NUMBER(MAX_CLIENTS, max_clients));
}

void setup_log_engine(const struct conf *conf)
{
	for (size_t i = 0; i < conf->n_services && conf->engine_refused; i++) {
		const struct service_conf *c = &conf->services[i];

		if (c->any_engine && c->engine != engine_auto(c->model)) {
			log_event(EVENT_ENGINE_REFUSED, F_TEXT(ENGINE, c->engine->name),
				  F_TEXT(WHAT, conf->engine_refused));
			return;
		}
	}
}

void setup_log_sandbox(const struct conf *conf, const struct sandbox *sandbox)
{
	bool off = conf->sandbox == SANDBOX_OFF;
	char text[SANDBOX_TEXT_MAX];

	log_event(EVENT_SANDBOX, F_TEXT(TEXT, sandbox_text(off ? NULL : sandbox, text)));
	if (!off && sandbox->missing[0])
		log_event(EVENT_SANDBOX_PARTIAL, F_TEXT(WHAT, sandbox->missing));
}
