/* SPDX-License-Identifier: ISC */
/* The rules between keys, a function each.  A rule that rests on a key which is wrong
 * itself stays silent: what follows from a mistake is no second mistake. */
#include "conf_build.h"

#include "conf.h"
#include "conf_node.h"
#include "conf_schema.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One address of one service, parsed. */
struct endpoint {
	size_t service, index; /* services[service].listen[index] */
	struct address address;
	uint16_t port;   /* its port; 0 for unix */
	uint32_t before; /* 1 + index of the one before with that port, 0: none */
};

/* All addresses of all services. */
struct endpoints {
	struct endpoint *entry;
	size_t n;
};

static const struct protocol_row *protocol_of(const struct service_conf *s)
{
	return &protocols[s->protocol];
}

/* Is the name of service I a default of a protocol that it does not have? */
static bool guessed_name(const struct build *b, size_t i)
{
	return b->service[i]->kind != NODE_GROUP || conf_build_bad(b, i, "name") ||
	       (conf_build_bad(b, i, "protocol") && !conf_build_node(b, i, "name"));
}

static void check_name(struct build *b, size_t i)
{
	const struct service_conf *s = &b->conf->services[i];

	if (conf_build_bad(b, i, "name"))
		return;
	if (s->name[strspn(s->name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789._-")] != '\0') {
		conf_build_complain(b, i, "name", "\"%s\" is not a name (letters, digits, . _ -)",
				    s->name);
		return;
	}
	for (size_t j = 0; j < i; j++) {
		if (strcmp(b->conf->services[j].name, s->name) != 0 || guessed_name(b, i) ||
		    guessed_name(b, j))
			continue;
		conf_build_complain(b, i, "name", "\"%s\" is the name of services[%zu] too%s",
				    s->name, j,
				    conf_build_node(b, i, "name") ? "" : " (give it one)");
		return;
	}
}

/* The names of systemd.socket(5)'s FileDescriptorName=. */
static bool is_descriptor_name(const char *name)
{
	for (; *name; name++)
		if (!isgraph((unsigned char)*name) || *name == ':' || *name == '"')
			return false;
	return true;
}

/* Either addresses to bind, or the name of what is bound already, which is one service's. */
static void check_listen(struct build *b, size_t i)
{
	const struct service_conf *s = &b->conf->services[i];

	if (conf_build_bad(b, i, "activation"))
		return;
	if (!s->activation[0]) {
		if (!conf_build_node(b, i, "listen"))
			conf_build_complain(b, i, "listen", "missing (an array of addresses)");
		return;
	}
	if (conf_build_node(b, i, "listen"))
		conf_build_complain(b, i, "activation",
				    "sockets are passed or opened, not both: leave out listen");
	if (!is_descriptor_name(s->activation))
		conf_build_complain(b, i, "activation",
				    "\"%.60s\" is not a FileDescriptorName of systemd.socket(5)",
				    s->activation);
	for (size_t j = 0; j < i; j++)
		if (strcmp(b->conf->services[j].activation, s->activation) == 0 &&
		    b->conf->services[j].protocol == s->protocol &&
		    !conf_build_bad(b, i, "protocol") && !conf_build_bad(b, j, "protocol"))
			conf_build_complain(b, i, "activation",
					    "services[%zu] takes the %s sockets called \"%s\"", j,
					    protocol_of(s)->name, s->activation);
}

/* The model must serve the protocol, and the engine must have the verb that it calls. */
static void check_grid(struct build *b, size_t i)
{
	const struct service_conf *s = &b->conf->services[i];
	char works[64] = "auto", refused[ENGINE_TEXT_MAX];

	if (conf_build_bad(b, i, "model") || conf_build_bad(b, i, "protocol"))
		return;
	if (s->model->per_client && !protocol_of(s)->stream) {
		conf_build_complain(b, i, "model",
				    "\"%s\" runs an executor for each connection, and %s has none "
				    "(iterative, prefork or prethread)",
				    s->model->name, protocol_of(s)->name);
		return;
	}
	if (conf_build_bad(b, i, "engine"))
		return;
	if (engine_fits(s->engine, s->model)) {
		if (!s->any_engine && !engine_works(s->engine, refused))
			conf_build_complain(b, i, "engine", "\"%s\" cannot be used here: %s",
					    s->engine->name, refused);
		return;
	}
	for (size_t e = 0; engines[e]; e++)
		if (engine_fits(engines[e], s->model))
			snprintf(works + strlen(works), sizeof(works) - strlen(works), " or %s",
				 engines[e]->name);
	if (s->model->per_client)
		conf_build_complain(
			b, i, "engine",
			"\"%s\" multiplexes many clients, but %s hands each client to an "
			"executor that echoes it alone (%s)",
			s->engine->name, s->model->name, works);
	else
		conf_build_complain(b, i, "engine", "\"%s\" cannot serve what %s listens on (%s)",
				    s->engine->name, s->model->name, works);
}

/* Keys that hold for other protocols alone. */
static void check_keys(struct build *b, size_t i)
{
	const struct service_conf *s = &b->conf->services[i];
	char names[64];

	for (size_t k = 0; k < n_conf_keys; k++) {
		const struct conf_key *key = &conf_keys[k];
		const char *path = key->path + strlen(CONF_SERVICE);

		if (!key->strict || key->protocols & (1u << s->protocol) ||
		    !conf_build_node(b, i, path) || conf_build_bad(b, i, "protocol"))
			continue;
		conf_build_complain(b, i, path, "does not hold for %s (%s)", protocol_of(s)->name,
				    sockopt_protocols(key->protocols, names, sizeof(names)));
	}
}

static void endpoint_add(struct build *b, struct endpoints *all, struct endpoint e)
{
	if ((all->n & (all->n - 1)) == 0) { /* room is the next power of two */
		size_t room = all->n ? 2 * all->n : 1;
		struct endpoint *grown = reallocarray(all->entry, room, sizeof(*grown));

		if (!grown) {
			b->complaints->no_memory = true;
			return;
		}
		all->entry = grown;
	}
	all->entry[all->n++] = e;
}

/* Parse the addresses of service I into ALL. */
static void parse_listen(struct build *b, size_t i, struct endpoints *all)
{
	const struct service_conf *s = &b->conf->services[i];
	struct address a[2];
	const char *why;

	if (conf_build_bad(b, i, "listen") || conf_build_bad(b, i, "protocol"))
		return;
	for (size_t k = 0; k < s->n_listen; k++) {
		int n = protocol_of(s)->local ? address_parse_unix(s->listen[k], a, &why)
					      : address_parse_ip(s->listen[k], a, &why);

		if (n < 0)
			complain(b->complaints, conf_build_element(b, i, "listen", k),
				 "services[%zu].listen[%zu]: \"%.110s\": %s", i, k, s->listen[k],
				 why);
		for (int m = 0; m < n; m++)
			endpoint_add(b, all,
				     (struct endpoint){.service = i,
						       .index = k,
						       .address = a[m],
						       .port = address_port(&a[m])});
	}
}

/* Would the kernel refuse to bind both?  Their ports are the same. */
static bool collide(const struct build *b, const struct endpoint *x, const struct endpoint *y)
{
	const struct protocol_row *p = protocol_of(&b->conf->services[x->service]);
	const struct protocol_row *q = protocol_of(&b->conf->services[y->service]);

	/* Ports of TCP (and MPTCP) and of UDP are apart; so are abstract names of streams
	 * and datagrams, but a path is one file. */
	if (p->type != q->type && !(p->local && q->local && x->address.un.sun_path[0] != '\0'))
		return false;
	if (x->address.sa.sa_family != y->address.sa.sa_family)
		return false;
	if (p->local)
		return address_equal(&x->address, &y->address);
	if (x->port == 0) /* any port that is free */
		return false;
	return address_equal(&x->address, &y->address) || address_is_any(&x->address) ||
	       address_is_any(&y->address);
}

/* The first that collides with E, among those before it with its port; or NULL. */
static const struct endpoint *first_collision(const struct build *b, const struct endpoints *all,
					      const struct endpoint *e)
{
	const struct endpoint *found = NULL;

	for (uint32_t i = e->before; i; i = all->entry[i - 1].before)
		if (collide(b, e, &all->entry[i - 1]))
			found = &all->entry[i - 1];
	return found;
}

static void check_collisions(struct build *b, struct endpoints *all)
{
	char mine[ADDRESS_TEXT_MAX], other[ADDRESS_TEXT_MAX];
	uint32_t *last = calloc(UINT16_MAX + 1, sizeof(*last)); /* of each port */

	b->complaints->no_memory |= !last;
	for (size_t x = 0; last && x < all->n; x++) {
		struct endpoint *e = &all->entry[x];
		const struct endpoint *f;

		e->before = last[e->port];
		last[e->port] = (uint32_t)x + 1;
		f = first_collision(b, all, e);
		if (f)
			complain(b->complaints,
				 conf_build_element(b, e->service, "listen", e->index),
				 "services[%zu].listen[%zu]: %s is taken by %s of services[%zu]",
				 e->service, e->index, address_format(&e->address, mine),
				 address_format(&f->address, other), f->service);
	}
	free(last);
}

static bool has_family(const struct endpoints *all, size_t service, int family)
{
	for (size_t k = 0; k < all->n; k++)
		if (all->entry[k].service == service &&
		    all->entry[k].address.sa.sa_family == family)
			return true;
	return false;
}

static const char *family_name(int family)
{
	return family == AF_INET6 ? "IPv6" : "IPv4";
}

static void check_sockets(struct build *b, size_t i, const struct endpoints *all)
{
	const struct service_conf *s = &b->conf->services[i];
	char path[64], names[64];

	if (conf_build_bad(b, i, "protocol"))
		return;
	for (size_t k = 0; k < n_sockopts; k++) {
		const struct sockopt_row *row = &sockopts[k];

		snprintf(path, sizeof(path), "socket.%s", row->name);
		if (!s->sockopts.value[k].set || !conf_build_node(b, i, path))
			continue;
		if (!(row->protocols & (1u << s->protocol)))
			conf_build_complain(b, i, path, "does not hold for %s (%s)",
					    protocol_of(s)->name,
					    sockopt_protocols(row->protocols, names,
							      sizeof(names)));
		else if (row->family &&
			 has_family(all, i, row->family == AF_INET ? AF_INET6 : AF_INET) &&
			 !has_family(all, i, row->family))
			conf_build_complain(b, i, path,
					    "holds for %s alone, and no address of listen is one",
					    family_name(row->family));
	}
}

static void check_groups(struct build *b, size_t i, const struct endpoints *all)
{
	const struct service_conf *s = &b->conf->services[i];
	struct in6_addr six;
	struct in_addr four;

	if (conf_build_bad(b, i, "udp.groups"))
		return;
	for (size_t k = 0; k < s->udp.n_groups; k++) {
		const char *group = s->udp.groups[k];
		struct conf_node *n = conf_build_element(b, i, "udp.groups", k);
		int family = 0;

		if (inet_pton(AF_INET, group, &four) == 1 && IN_MULTICAST(ntohl(four.s_addr)))
			family = AF_INET;
		else if (inet_pton(AF_INET6, group, &six) == 1 && IN6_IS_ADDR_MULTICAST(&six))
			family = AF_INET6;
		if (family == 0)
			complain(
				b->complaints, n,
				"services[%zu].udp.groups[%zu]: \"%.60s\" is not a multicast group "
				"(such as 239.1.2.3 or ff02::1234)",
				i, k, group);
		else if (has_family(all, i, family == AF_INET ? AF_INET6 : AF_INET) &&
			 !has_family(all, i, family))
			complain(b->complaints, n,
				 "services[%zu].udp.groups[%zu]: %s is of %s, and no address of "
				 "listen is",
				 i, k, group, family_name(family));
	}
}

static void check_user(struct build *b)
{
	const struct process_conf *p = &b->conf->process;
	struct conf_node *process = node_child(b->root, "process");
	struct conf_node *user = node_child(process, "user"), *group = node_child(process, "group");

	if (user && !user->bad && p->user[0] && !getpwnam(p->user))
		complain(b->complaints, user, "process.user: no user is called \"%s\"", p->user);
	if (group && !group->bad && p->group[0] && !getgrnam(p->group))
		complain(b->complaints, group, "process.group: no group is called \"%s\"",
			 p->group);
}

/* The control socket's path: right, and no service's. */
static void check_control(struct build *b, const struct endpoints *all)
{
	struct conf_node *n = node_child(b->root, "control");
	char text[ADDRESS_TEXT_MAX];
	struct address a;
	const char *why;

	if (!n || n->bad || !b->conf->control[0])
		return;
	if (address_parse_unix(b->conf->control, &a, &why) < 0) {
		complain(b->complaints, n, "control: \"%.110s\": %s", b->conf->control, why);
		return;
	}
	for (size_t i = 0; i < all->n; i++)
		if (address_equal(&all->entry[i].address, &a))
			complain(b->complaints, n, "control: %s is taken by services[%zu]",
				 address_format(&a, text), all->entry[i].service);
}

void conf_check(struct build *b)
{
	static void (*const rules[])(struct build *,
				     size_t) = {check_name,         check_listen, check_grid,
						check_keys,         conf_access,  conf_check_answer,
						conf_check_steering};
	static void (*const address_rules[])(struct build *, size_t,
					     const struct endpoints *) = {check_sockets,
									  check_groups};
	struct endpoints all = {0};

	check_user(b);
	for (size_t i = 0; i < b->conf->n_services; i++) {
		if (b->service[i]->kind != NODE_GROUP)
			continue;
		for (size_t r = 0; r < sizeof(rules) / sizeof(rules[0]); r++)
			rules[r](b, i);
		parse_listen(b, i, &all);
		for (size_t r = 0; r < sizeof(address_rules) / sizeof(address_rules[0]); r++)
			address_rules[r](b, i, &all);
	}
	check_collisions(b, &all);
	check_control(b, &all);
	free(all.entry);
}
