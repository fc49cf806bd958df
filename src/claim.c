/* SPDX-License-Identifier: ISC */
/* Who gets which socket.  To claim one changes nothing of it: a configuration that turns out to
 * be impossible leaves no trace. */
#include "claim.h"

#include "conf.h"
#include "listener.h"
#include "log.h"
#include "passed.h"
#include "shares.h"
#include "supervisor.h"
#include "timer.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum {
	FORGET = 1000, /* ms that the manager has to close what it is to forget */
	LINGER = 500,  /* ms for which a port may be taken that we have just let go, */
	AGAIN = 10     /* ms until we look again */
};

/* One service's claim while it is staked. */
struct claiming {
	struct supervisor *s;
	const struct service_conf *service;
	struct listener **opened;
	struct claim *claim;
	struct problems *problems;
};

static const struct sockopt_value *v6only_option(const struct service_conf *service)
{
	return &service->sockopts.value[sockopt_find("IPV6_V6ONLY")];
}

bool claim_v6only(const struct service_conf *service)
{
	return !v6only_option(service)->set || v6only_option(service)->number != 0;
}

const char *claim_interface(const struct service_conf *service)
{
	return service->sockopts.value[sockopt_find("SO_BINDTODEVICE")].text;
}

/* Who has no CAP_NET_RAW may bind a socket to an interface, but neither loose it nor bind it to
 * another one. */
static bool same_interface(const struct service_conf *was, const struct service_conf *is)
{
	return !claim_interface(was)[0] || strcmp(claim_interface(was), claim_interface(is)) == 0;
}

bool claim_can_keep(const struct listener *l, const struct service_conf *service)
{
	return same_interface(l->service, service) &&
	       (l->asked.sa.sa_family != AF_INET6 ||
		claim_v6only(l->service) == claim_v6only(service));
}

/* The first listener for SERVICE at ADDRESS, if nobody has claimed it yet, or NULL. */
static struct listener *find(struct listener *list, const struct service_conf *service,
			     const struct address *address)
{
	for (struct listener *l = list; l; l = l->next)
		if (l->protocol == service->protocol && l->share == 0 && !l->wanted &&
		    address_equal(&l->asked, address) && claim_can_keep(l, service))
			return l;
	return NULL;
}

/* The listener on the socket FROM, or NULL. */
static struct listener *find_from(struct listener *list, const struct passed_socket *from)
{
	struct listener *l = list;

	while (l && l->from != from)
		l = l->next;
	return l;
}

int claim_add(struct claim *claim, struct listener *l)
{
	size_t size = (claim->n + 1) * sizeof(struct listener *);
	struct listener **grown = realloc(claim->listeners, size);

	if (!grown)
		return -ENOMEM;
	claim->listeners = grown;
	grown[claim->n++] = l;
	l->wanted = true;
	return 0;
}

/* A host without IPv6 has neither its half of "*:7" nor its loopback: worth a warning if
 * the service has another address, no more. */
static bool may_be_missing(const struct service_conf *service, const struct address *a,
			   size_t n_addresses, int error)
{
	return (n_addresses == 2 || service->n_listen > 1) && a->sa.sa_family == AF_INET6 &&
	       (n_addresses == 2 || IN6_IS_ADDR_LOOPBACK(&a->in6.sin6_addr)) &&
	       (error == EAFNOSUPPORT || error == EADDRNOTAVAIL);
}

/* L is new, and the setup's until it is the supervisor's. */
static int add_new(struct claiming *c, struct listener *l)
{
	l->next = *c->opened;
	*c->opened = l;
	return claim_add(c->claim, l);
}

/* A passed socket for C's service. */
static int take_over(struct claiming *c, struct passed_socket *from, struct listener_error *error)
{
	struct listener *l = listener_take_over(c->service, from, error);
	int r;

	if (!l)
		return -error->error;
	r = add_new(c, l);
	return r < 0 ? r : listener_options_try(l, c->service, error);
}

/* Can both L and a socket of C's service at A be asked over the same family? */
static bool families_meet(const struct claiming *c, const struct listener *l,
			  const struct address *a)
{
	const struct service_conf *six = a->sa.sa_family == AF_INET6 ? c->service : l->service;

	return l->asked.sa.sa_family == a->sa.sa_family || !claim_v6only(six);
}

/* Does the listener L, which goes with this change, keep us from binding A? */
static bool in_the_way(const struct claiming *c, const struct listener *l, const struct address *a)
{
	return !l->wanted && protocols[l->protocol].type == protocols[c->service->protocol].type &&
	       address_port(a) != 0 && address_port(&l->endpoint.address) == address_port(a) &&
	       families_meet(c, l, a);
}

/* Let others bind the port of every listener that is in the way of A; or, unless SHARE, no
 * more.  Returns how many there are. */
static size_t share_port(const struct claiming *c, const struct address *a, bool share)
{
	size_t n = 0;

	for (struct listener *l = c->s->listeners; l; l = l->next) {
		if (!in_the_way(c, l, a))
			continue;
		listener_share_port(l->endpoint.fd, l->service, share || l->shares);
		n++;
	}
	return n;
}

/* From 127.0.0.1:7 to *:7 or back: for as long as both are open they share the port, which
 * the kernel allows to sockets of one user that all agree. */
static struct listener *open_beside(const struct claiming *c, const struct address *a,
				    struct listener_error *error)
{
	int reuse = sockopt_find("SO_REUSEPORT");
	struct service_conf sharing = *c->service;
	struct listener *l = NULL;

	sharing.sockopts.value[reuse] = (struct sockopt_value){.set = true, .number = 1};
	if (share_port(c, a, true) > 0)
		l = listener_open(&sharing, a, error);
	share_port(c, a, false);
	if (l)
		listener_share_port(l->endpoint.fd, c->service, false);
	return l;
}

/* A port that was ours until now is free when everybody who shares it has closed it: the
 * manager, a worker that drains, a logger that has just been forked.  Of that the kernel tells
 * nobody. */
static struct listener *open_new(const struct claiming *c, const struct address *a,
				 struct listener_error *error)
{
	uint64_t until = c->s->let_go_at + LINGER;
	struct listener *l = listener_open(c->service, a, error);

	if (!l && error->error == EADDRINUSE)
		l = open_beside(c, a, error);
	while (!l && error->error == EADDRINUSE && c->s->let_go_at && timer_now() < until) {
		poll(NULL, 0, AGAIN);
		l = listener_open(c->service, a, error);
	}
	return l;
}

/* A listener for one address: the one there is, if clients can still reach it; one that was
 * passed; or a new one. */
static int claim_address(struct claiming *c, const struct address *a, struct listener_error *error)
{
	struct listener *l = find(c->s->listeners, c->service, a);
	struct passed_socket *from;
	int r;

	if (l && listener_reachable(l)) {
		r = listener_options_try(l, c->service, error);
		return r < 0 ? r : claim_add(c->claim, l);
	}
	from = passed_find(c->s->passed, (int)c->service->protocol, a, claim_v6only(c->service),
			   claim_interface(c->service));
	if (from && !find_from(c->s->listeners, from) && !find_from(*c->opened, from))
		return take_over(c, from, error);
	l = open_new(c, a, error);
	return l ? add_new(c, l) : -error->error;
}

static int want(struct claiming *c, const struct address *a, size_t n_addresses)
{
	struct listener_error error = {.what = "memory", .error = ENOMEM};
	char text[ADDRESS_TEXT_MAX], lack[NEED_TEXT_MAX + 3];
	int r = claim_address(c, a, &error);

	if (r == 0)
		return 0;
	if (may_be_missing(c->service, a, n_addresses, error.error)) {
		log_event(EVENT_NOT_LISTENING, F_TEXT(SERVICE, c->service->name),
			  F_TEXT(ADDRESS, address_format(a, text)), F_NUMBER(ERRNO, error.error));
		return 0;
	}
	errno = error.error;
	problems_add(c->problems, "service=%s cannot listen on %s: %s: %m%s", c->service->name,
		     address_format(a, text), error.what,
		     sockopt_lack(error.what, error.error, a->sa.sa_family, lack));
	return r;
}

/* Why C's service cannot have the socket FROM of a .socket unit, or NULL. */
static const char *misfit(const struct claiming *c, const struct passed_socket *from)
{
	const struct listener *l = find_from(c->s->listeners, from);

	if (!l)
		l = find_from(*c->opened, from);
	if (l && l->wanted)
		return "another service listens on it";
	if (from->address.sa.sa_family == AF_INET6 && v6only_option(c->service)->set &&
	    claim_v6only(c->service) != from->v6only)
		return "its IPV6_V6ONLY is not that of the configuration, and cannot be changed "
		       "(BindIPv6Only= of the unit)";
	return NULL;
}

/* One socket of a .socket unit, whatever its address. */
static int want_passed(struct claiming *c, struct passed_socket *from)
{
	struct listener *l = find_from(c->s->listeners, from);
	struct listener_error error = {.what = "memory", .error = ENOMEM};
	const char *why = misfit(c, from);
	char text[ADDRESS_TEXT_MAX], lack[NEED_TEXT_MAX + 3];
	int r;

	address_format(&from->address, text);
	if (why) {
		problems_add(c->problems, "service=%s cannot have %s, passed as \"%s\": %s",
			     c->service->name, text, from->name, why);
		return -EBADFD;
	}
	if (!l) {
		r = take_over(c, from, &error);
	} else {
		r = listener_options_try(l, c->service, &error);
		r = r < 0 ? r : claim_add(c->claim, l);
	}
	errno = error.error;
	if (r < 0)
		problems_add(c->problems, "service=%s cannot serve %s, passed as \"%s\": %s: %m%s",
			     c->service->name, text, from->name, error.what,
			     sockopt_lack(error.what, error.error, from->address.sa.sa_family,
					  lack));
	return r;
}

static int claim_activation(struct claiming *c)
{
	const struct service_conf *service = c->service;
	const struct passed *passed = c->s->passed;
	struct passed_socket *at = NULL;
	char text[1024];
	int r = 0;

	while (r == 0 && (at = passed_next(passed, at, service->activation, service->protocol)))
		r = want_passed(c, at);
	if (r < 0 || c->claim->n > 0)
		return r;
	problems_add(c->problems,
		     "service=%s: no %s socket was passed under the name of activation, \"%s\": "
		     "what was passed is %s",
		     service->name, protocols[service->protocol].name, service->activation,
		     passed_describe(passed, text, sizeof(text)));
	return -EBADFD;
}

/* The addresses of the text LISTEN (which is checked).  Returns how many. */
static int parse(const struct service_conf *service, const char *listen, struct address a[2])
{
	const char *why;

	return protocols[service->protocol].local ? address_parse_unix(listen, a, &why)
						  : address_parse_ip(listen, a, &why);
}

int claim_listeners(struct supervisor *s, const struct service_conf *service,
		    struct listener **opened, struct claim *claim, struct problems *problems)
{
	struct claiming c = {
		.s = s,
		.service = service,
		.opened = opened,
		.claim = claim,
		.problems = problems,
	};
	struct address a[2];
	int r = 0;

	claim->rows = 1;
	if (service->activation[0])
		return claim_activation(&c);
	for (size_t i = 0; i < service->n_listen && r == 0; i++) {
		int n = parse(service, service->listen[i], a);

		for (int j = 0; j < n && r == 0; j++)
			r = want(&c, &a[j], (size_t)n);
	}
	if (r == 0 && claim->n == 0) {
		problems_add(problems, "service=%s has no address left to listen on",
			     service->name);
		r = -EADDRNOTAVAIL;
	}
	return r;
}

void claim_begin(struct supervisor *s, const struct conf *conf)
{
	struct address a[2];

	passed_log(s->passed);
	for (size_t i = 0; i < conf->n_services; i++) {
		const struct service_conf *service = &conf->services[i];

		for (size_t k = 0; k < service->n_listen; k++) {
			for (int n = parse(service, service->listen[k], a); n > 0; n--) {
				passed_want(s->passed, (int)service->protocol, &a[n - 1],
					    claim_v6only(service), claim_interface(service),
					    shares_kept(service));
			}
		}
	}
	if (passed_discard(s->passed, &s->manager.notify) == 0)
		return;
	notify_barrier(&s->manager.notify, FORGET);
	s->let_go_at = timer_now();
}

/* A unit's own sockets stay open: the next configuration may name them. */
void claim_end(const struct supervisor *s)
{
	char address[ADDRESS_TEXT_MAX], text[300];

	for (size_t i = 0; i < s->passed->n; i++) {
		const struct passed_socket *from = &s->passed->socket[i];

		if (from->fd < 0 || from->stored || find_from(s->listeners, from))
			continue;
		snprintf(text, sizeof(text), "passed as \"%s\" (%s), is used by no service",
			 from->name, protocols[from->protocol].name);
		log_event(EVENT_LEFTOVER, F_TEXT(ADDRESS, address_format(&from->address, address)),
			  F_TEXT(TEXT, text));
	}
}
