/* SPDX-License-Identifier: ISC */
/* A configuration from its sources: text, tree, overrides, values, what was left open,
 * the rules; then one answer.
 *
 *	conf_text  (conf_read, conf_scan)   the text is right
 *	conf_file                           libconfig makes a tree (conf_node) of it
 *	conf_override, conf_listen          the command line's part
 *	conf_build (conf_schema, conf_value) the tree into struct conf
 *	conf_check, conf_access             the rules between keys, the networks
 *	conf_needs                          what not every process may do
 *	conf_dump                           and back */
#include "conf.h"

#include "conf_build.h"
#include "conf_file.h"
#include "conf_node.h"
#include "conf_override.h"
#include "conf_schema.h"
#include "conf_text.h"
#include "conf_value.h"

#include <errno.h>
#include <sched.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Processors that we may run on. */
static unsigned processors(void)
{
	cpu_set_t set;
	int n;

	CPU_ZERO(&set);
	n = sched_getaffinity(0, sizeof(set), &set) < 0 ? 1 : CPU_COUNT(&set);
	return n < 1 ? 1 : (unsigned)n;
}

static void set_true(struct service_conf *s, const char *option)
{
	int i = sockopt_find(option);

	if (i >= 0 && !s->sockopts.value[i].set)
		s->sockopts.value[i] = (struct sockopt_value){.set = true, .number = 1};
}

/* Resolve engine = "auto"; CONF remembers why it is not what it should be. */
static void choose_engine(struct conf *conf, struct service_conf *s, struct complaints *c)
{
	char text[ENGINE_TEXT_MAX];

	s->any_engine = true;
	s->engine = engine_auto(s->model);
	if (!s->engine->substitute || (!conf->engine_refused && engine_works(s->engine, text)))
		return;
	s->engine = s->engine->substitute;
	if (!conf->engine_refused) {
		conf->engine_refused = strdup(text);
		c->no_memory |= !conf->engine_refused;
	}
}

/* What a service leaves open. */
static void resolve(struct conf *conf, struct service_conf *s, struct complaints *c)
{
	if (!s->name) {
		s->name = strdup(protocols[s->protocol].service);
		c->no_memory |= !s->name;
	}
	if (!s->engine)
		choose_engine(conf, s, c);
	if (!s->model->many_processes && !s->model->many_threads)
		s->workers = 1;
	else if (s->workers == 0)
		s->workers = processors();
	/* Not for UDP: there SO_REUSEADDR lets a second daemon take the port in silence. */
	if (s->protocol == PROTO_TCP || s->protocol == PROTO_MPTCP) {
		set_true(s, "SO_REUSEADDR");
		set_true(s, "TCP_NODELAY");
	}
}

bool conf_answers_many(const struct service_conf *s)
{
	if (s->udp.answer_broadcast || s->udp.n_groups > 0)
		return true;
	for (size_t i = 0; i < n_sockopts; i++)
		if (sockopts[i].type == OPT_MEMBERSHIP && s->sockopts.value[i].set)
			return true;
	return false;
}

/* The tree of SOURCE without its overrides; T must outlive it. */
static struct conf_node *source_tree(const struct conf_source *source, struct conf_text *t,
				     struct complaints *c)
{
	char *text;
	int r;

	if (source->file) {
		r = conf_text_file(t, source->file, c);
	} else {
		text = conf_listen_text(source, c);
		if (!text)
			return NULL;
		r = conf_text_string(t, "--listen", text, c);
		free(text);
	}
	return r < 0 ? NULL : conf_file_tree(t, c);
}

/* ROOT into CONF, with every complaint, and NOTES if that is not NULL. */
static void load(struct conf *conf, struct conf_node *root, const struct conf_source *source,
		 struct complaints *c, struct complaints *notes)
{
	struct build b = {.conf = conf, .root = root, .complaints = c};

	for (size_t i = 0; source->overrides && source->overrides[i]; i++)
		conf_override(root, source->overrides[i], c);
	if (conf_build(&b) < 0)
		c->no_memory = true;
	for (size_t i = 0; !c->no_memory && i < conf->n_services; i++)
		resolve(conf, &conf->services[i], c);
	if (source->file) {
		conf->file = strdup(source->file);
		c->no_memory |= !conf->file;
	}
	if (!c->no_memory) {
		conf_check(&b);
		conf_needs(&b, notes);
	}
	free(b.service);
}

struct conf *conf_load_noting(const struct conf_source *source, struct problems *problems,
			      struct problems *notes)
{
	struct conf *conf = calloc(1, sizeof(*conf));
	struct complaints c = {.no_memory = !conf}, n = {0};
	struct conf_text t = {0};
	struct conf_node *root = conf ? source_tree(source, &t, &c) : NULL;

	if (root)
		load(conf, root, source, &c, notes ? &n : NULL);
	node_free(root);
	conf_text_clear(&t);
	if (!root && c.n == 0)
		c.no_memory = true; /* nothing else fails in silence */
	if (notes)
		complaints_report(&n, notes);
	if (complaints_report(&c, problems))
		conf = conf_free(conf);
	return conf;
}

struct conf *conf_load(const struct conf_source *source, struct problems *problems)
{
	return conf_load_noting(source, problems, NULL);
}

struct conf *conf_free(struct conf *c)
{
	if (!c)
		return NULL;
	for (size_t k = 0; k < n_conf_keys; k++) {
		if (strncmp(conf_keys[k].path, CONF_SERVICE, strlen(CONF_SERVICE)) != 0) {
			conf_value_free(&conf_keys[k], c);
			continue;
		}
		for (size_t i = 0; i < c->n_services; i++)
			conf_value_free(&conf_keys[k], &c->services[i]);
	}
	for (size_t i = 0; i < c->n_services; i++) {
		acl_clear(&c->services[i].access);
		acl_clear(&c->services[i].exempted);
		acl_clear(&c->services[i].trusted);
	}
	free(c->services);
	free(c->engine_refused);
	free(c->file);
	free(c);
	return NULL;
}

void problems_add(struct problems *p, const char *format, ...)
{
	int saved = errno;
	char *line = NULL, **grown = reallocarray(p->line, p->n + 1, sizeof(*grown));
	va_list ap;

	va_start(ap, format);
	if (grown)
		p->line = grown;
	errno = saved;
	if (grown && vasprintf(&line, format, ap) >= 0)
		grown[p->n++] = line;
	va_end(ap);
	errno = saved;
}

void problems_clear(struct problems *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->line[i]);
	free(p->line);
	*p = (struct problems){0};
}
