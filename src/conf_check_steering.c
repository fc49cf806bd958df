/* SPDX-License-Identifier: ISC */
/* The rules about steering: a socket for each executor is of use only to executors that stay on
 * their processors and can take what comes. */
#include "conf_build.h"

#include "conf.h"
#include "engines.h"

/* Why the service S cannot have sockets that are steered, or NULL. */
static const char *obstacle(const struct service_conf *s)
{
	if (s->n_cpus == 0)
		return "needs cpus, where the executors are";
	if (!s->model->many_processes && !s->model->many_threads)
		return "is between executors, and this model has one (prefork or prethread)";
	if (protocols[s->protocol].stream && s->engine == &engine_blocking)
		return "leaves clients behind the one that a blocking executor serves (epoll or "
		       "io_uring)";
	if (s->activation[0])
		return "needs a socket for each executor, and activation has those that are passed";
	if (s->protocol == PROTO_UDP && conf_answers_many(s))
		return "needs a socket for each executor, and what is sent to many hosts would "
		       "come "
		       "to each";
	return NULL;
}

void conf_check_steering(struct build *b, size_t i)
{
	static const char *const own[] = {"SO_REUSEPORT", "SO_INCOMING_CPU"};
	const struct service_conf *s = &b->conf->services[i];
	const char *why;

	if (s->steering == STEERING_OFF || protocols[s->protocol].local ||
	    conf_build_bad(b, i, "protocol") || conf_build_bad(b, i, "model") ||
	    conf_build_bad(b, i, "engine") || conf_build_bad(b, i, "cpus"))
		return;
	why = obstacle(s);
	for (size_t k = 0; k < sizeof(own) / sizeof(own[0]); k++)
		if (s->sockopts.value[sockopt_find(own[k])].set)
			why = "sets SO_REUSEPORT and SO_INCOMING_CPU itself";
	if (why)
		conf_build_complain(b, i, "steering", "\"cpu\" %s", why);
}
