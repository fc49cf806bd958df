/* SPDX-License-Identifier: ISC */
/* The methods, a row each: what they take, who may call them. */
#include "control_call.h"

#include "conf.h"
#include "supervisor.h"
#include "varlink.h"

#include "config.h"

#include <stdlib.h>
#include <string.h>

enum {
	LIMIT = 1000,
	LIMIT_MOST = 10000 /* connections in the one answer of a call without more */
};

#define CONTROL "org.echod.Control"
#define SERVICE "org.varlink.service"

/* A parameter of a method; all may be left out. */
struct parameter {
	const char *name;
	json_type type;
};

struct method {
	const char *name; /* with its interface */
	bool trusted_only;
	struct parameter parameters[2];
	enum control_next (*run)(struct control_call *call);
};

/* A parameter that was given and is not null. */
static json_t *given(const struct control_call *call, const char *name)
{
	json_t *value = json_object_get(call->parameters, name);

	return json_is_null(value) ? NULL : value;
}

static const char *service(const struct control_call *call)
{
	return json_string_value(given(call, "service"));
}

static enum control_next answer(struct control_call *call, json_t *reply)
{
	call->reply = reply;
	return CONTROL_ANSWER;
}

static enum control_next get_status(struct control_call *call)
{
	return answer(call, control_status(call->s, service(call), call->now));
}

static enum control_next get_stats(struct control_call *call)
{
	return answer(call, control_stats(call->s, service(call), call->now));
}

static enum control_next get_options(struct control_call *call)
{
	return answer(call, control_options(call->s, service(call)));
}

/* All at once, as many as LIMIT, for whoever does not take several replies. */
static json_t *list_some(struct control_call *call, size_t limit)
{
	struct control_listing *l = call->listing;
	json_t *all = json_array();

	while (all && l->going && json_array_size(all) < limit) {
		json_t *some = control_list_next(l, call->s, limit - json_array_size(all),
						 call->now);

		if (!some || json_array_extend(all, some) < 0) {
			json_decref(all);
			all = NULL;
		}
		json_decref(some);
	}
	return all;
}

static enum control_next get_connections(struct control_call *call)
{
	json_t *limit = given(call, "limit");
	json_int_t n = limit ? json_integer_value(limit) : LIMIT;
	bool truncated;
	json_t *all;

	if (n < 1 || n > LIMIT_MOST)
		return control_fail(call, SERVICE ".InvalidParameter", "parameter", "limit");
	if (control_list(call->listing, call->s, service(call)) < 0)
		return answer(call, NULL);
	if (call->more)
		return CONTROL_LIST;
	/* One more than is asked for tells whether there are more. */
	all = list_some(call, (size_t)n + 1);
	control_list_end(call->listing);
	truncated = json_array_size(all) > (size_t)n;
	if (truncated)
		json_array_remove(all, (size_t)n);
	return answer(call, json_pack("{s:o, s:b}", "connections", all, "truncated", truncated));
}

static enum control_next reload(struct control_call *call)
{
	(void)call;
	return CONTROL_RELOAD;
}

static enum control_next get_info(struct control_call *call)
{
	return answer(call, json_pack("{s:s s:s s:s s:s s:[s s]}", "vendor", PACKAGE_NAME,
				      "product", PACKAGE_NAME, "version", PACKAGE_VERSION, "url",
				      PACKAGE_URL, "interfaces", SERVICE, CONTROL));
}

static enum control_next get_description(struct control_call *call)
{
	const char *name = json_string_value(given(call, "interface")), *text;

	if (!name)
		return control_fail(call, SERVICE ".InvalidParameter", "parameter", "interface");
	if (strcmp(name, CONTROL) == 0)
		text = control_interface;
	else if (strcmp(name, SERVICE) == 0)
		text = control_interface_service;
	else
		return control_fail(call, SERVICE ".InterfaceNotFound", "interface", name);
	return answer(call, json_pack("{s:s}", "description", text));
}

static const struct method methods[] = {
	{SERVICE ".GetInfo", false, {{NULL, JSON_NULL}}, get_info},
	{SERVICE ".GetInterfaceDescription", false, {{"interface", JSON_STRING}}, get_description},
	{CONTROL ".GetStatus", false, {{"service", JSON_STRING}}, get_status},
	{CONTROL ".GetStats", false, {{"service", JSON_STRING}}, get_stats},
	{CONTROL ".GetOptions", false, {{"service", JSON_STRING}}, get_options},
	{CONTROL ".GetConnections",
	 true,
	 {{"service", JSON_STRING}, {"limit", JSON_INTEGER}},
	 get_connections},
	{CONTROL ".Reload", true, {{NULL, JSON_NULL}}, reload},
};

enum control_next control_fail(struct control_call *call, const char *error, const char *parameter,
			       const char *value)
{
	call->error = error;
	call->reply = json_object();
	if (parameter)
		json_object_set_new(call->reply, parameter, varlink_text(value));
	return CONTROL_ERROR;
}

/* The first of the call's parameters that METHOD does not take, or takes as another type. */
static const char *wrong_parameter(const struct control_call *call, const struct method *method)
{
	const size_t n = sizeof(method->parameters) / sizeof(method->parameters[0]);
	const char *name;
	json_t *value;

	json_object_foreach(call->parameters, name, value)
	{
		size_t i = 0;

		while (i < n && !(method->parameters[i].name &&
				  strcmp(method->parameters[i].name, name) == 0))
			i++;
		if (i == n ||
		    (!json_is_null(value) && json_typeof(value) != method->parameters[i].type))
			return name;
	}
	return NULL;
}

static bool has_service(const struct supervisor *s, const char *name)
{
	for (size_t i = 0; i < s->conf->n_services; i++)
		if (strcmp(s->conf->services[i].name, name) == 0)
			return true;
	return false;
}

/* No method is called so.  The interface is what stands before the last dot. */
static enum control_next no_method(struct control_call *call, const char *method)
{
	const char *dot = strrchr(method, '.');
	size_t len = dot ? (size_t)(dot - method) : 0;
	enum control_next next;
	char *name;

	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
		if (strncmp(methods[i].name, method, len + 1) == 0 && dot)
			return control_fail(call, SERVICE ".MethodNotFound", "method", method);
	name = strndup(method, len);
	next = control_fail(call, SERVICE ".InterfaceNotFound", "interface", name);
	free(name);
	return next;
}

enum control_next control_call(struct control_call *call, const char *method)
{
	const struct method *m = NULL;
	const char *wrong;

	for (size_t i = 0; !m && i < sizeof(methods) / sizeof(methods[0]); i++)
		if (strcmp(methods[i].name, method) == 0)
			m = &methods[i];
	if (!m)
		return no_method(call, method);
	if (m->trusted_only && !call->trusted)
		return control_fail(call, SERVICE ".PermissionDenied", NULL, NULL);
	wrong = wrong_parameter(call, m);
	if (wrong)
		return control_fail(call, SERVICE ".InvalidParameter", "parameter", wrong);
	if (service(call) && !has_service(call->s, service(call)))
		return control_fail(call, CONTROL ".NoSuchService", "service", service(call));
	return m->run(call);
}
