/* SPDX-License-Identifier: ISC */
/* What is the same for several models and engines comes together. */
#include "kinds.h"

#include "conf.h"
#include "engines.h"
#include "models.h"
#include "sandbox_filter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct kind kinds[KINDS];
size_t n_kinds;

static void add_kind(const char *name, unsigned parts)
{
	for (size_t i = 0; i < n_kinds; i++) {
		if (kinds[i].parts != parts)
			continue;
		if (strlen(kinds[i].name) + strlen(name) + 3 < sizeof(kinds[i].name)) {
			strcat(kinds[i].name, ", ");
			strcat(kinds[i].name, name);
		}
		return;
	}
	assert_true(n_kinds < KINDS);
	snprintf(kinds[n_kinds].name, sizeof(kinds[0].name), "%s", name);
	kinds[n_kinds++].parts = parts;
}

static void add_service(const struct model *model, const struct engine *engine, bool udp, bool cpus)
{
	struct service_conf c = {.model = model,
				 .engine = engine,
				 .protocol = udp ? PROTO_UDP : PROTO_TCP,
				 .n_cpus = cpus};
	char name[80];

	snprintf(name, sizeof(name), "%s %s%s%s", model->name, engine->name,
		 udp ? ", datagrams" : "", cpus ? ", cpus" : "");
	add_kind(name, sandbox_parts_of(&c));
}

int kinds_list(void **state)
{
	(void)state;
	for (int udp = 0; udp <= 1; udp++)
		for (size_t e = 0; engines[e]; e++)
			for (size_t m = 0; models[m]; m++)
				if (engine_fits(engines[e], models[m]) &&
				    !(udp && models[m]->per_client))
					add_service(models[m], engines[e], udp, false);
	add_service(&model_fork, &engine_blocking, false, true);
	add_service(&model_thread, &engine_blocking, false, true);
	add_kind("fork, a client's process", CALLS_CLIENT);
	add_kind("logger", CALLS_LOGGER);
	return 0;
}

const struct sandbox_call *kinds_row(int number, unsigned parts)
{
	char name[64], other[64];

	filter_call_name(number, name, sizeof(name));
	for (size_t i = 0; i < n_sandbox_calls; i++) {
		const struct sandbox_call *c = &sandbox_calls[i];
		bool other_is_there = false;

		if (strcmp(c->name, name) != 0 || !(c->parts & parts))
			continue;
		for (int k = 0; c->instead_of && k < NUMBERS; k++)
			other_is_there |= strcmp(filter_call_name(k, other, sizeof(other)),
						 c->instead_of) == 0;
		if (!other_is_there)
			return c;
	}
	return NULL;
}
