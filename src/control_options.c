/* SPDX-License-Identifier: ISC */
/* The socket options of the listeners: what was asked for, and what the kernel has now.
 * Options that each connection is given by itself cannot be read here; they say so. */
#include "control_call.h"

#include "conf.h"
#include "listener.h"
#include "sockopt.h"
#include "supervisor.h"
#include "varlink.h"

#include <string.h>

static const char *const stage_names[] = {
	[AT_SOCKET] = "socket",
	[AT_BOUND] = "bound",
	[AT_CONNECTION] = "connection",
};

static json_t *value_text(const struct sockopt_row *row, const struct sockopt_value *value)
{
	char text[128];

	if (!value->set)
		return json_null();
	return varlink_text(sockopt_format(row, value, text, sizeof(text)));
}

/* Can a socket of L have the option at all? */
static bool holds(const struct sockopt_row *row, const struct listener *l)
{
	return !row->refused && row->protocols & (1u << l->protocol) &&
	       (!row->family || row->family == l->endpoint.address.sa.sa_family);
}

static json_t *option(const struct sockopt_row *row, const struct sockopt_value *asked,
		      const struct listener *l)
{
	enum sockopt_stage stage = sockopt_stage(row, l->protocol);
	struct sockopt_value is = {.set = false};

	if (stage != AT_CONNECTION && sockopt_get(l->endpoint.fd, row, &is) < 0)
		is.set = false; /* this kernel or this family has none */
	if (!asked->set && !is.set)
		return NULL;
	return json_pack("{s:s s:o s:o s:s s:b}", "name", row->name, "asked",
			 value_text(row, asked), "effective", value_text(row, &is), "stage",
			 stage_names[stage], "doubled", row->doubled);
}

static json_t *listener_options(const struct listener *l)
{
	json_t *list = json_array();
	char text[ADDRESS_TEXT_MAX];

	for (size_t i = 0; i < n_sockopts; i++) {
		json_t *o = NULL;

		if (holds(&sockopts[i], l))
			o = option(&sockopts[i], &l->service->sockopts.value[i], l);
		if (o)
			json_array_append_new(list, o);
	}
	return json_pack("{s:o s:o}", "address",
			 varlink_text(address_format(&l->endpoint.address, text)), "options", list);
}

json_t *control_options(const struct supervisor *s, const char *service)
{
	json_t *all = json_array();

	for (size_t i = 0; i < s->conf->n_services; i++) {
		const struct service_conf *c = &s->conf->services[i];
		json_t *list;

		if (service && strcmp(c->name, service) != 0)
			continue;
		list = json_array();
		for (const struct listener *l = s->listeners; l; l = l->next)
			if (l->service == c && l->share == 0)
				json_array_append_new(list, listener_options(l));
		json_array_append_new(all, json_pack("{s:o s:s s:o}", "name", varlink_text(c->name),
						     "protocol", protocols[c->protocol].name,
						     "listeners", list));
	}
	return json_pack("{s:o}", "services", all);
}
