/* SPDX-License-Identifier: ISC */
/* With a socket of its own an executor has its flows for itself: they stay in order, and no
 * other processor touches the queue.  The kernel gives each datagram and each new connection to
 * one of the group: by addresses and ports, or where the service is steered by the processor
 * that it comes on (SO_INCOMING_CPU, from Linux 6.2 on).  The sockets are the supervisor's, so
 * what waits in one waits for whoever comes after a worker that died.
 *
 * The first is bound without SO_REUSEPORT, and so only if nobody has the port; then it allows
 * the others.  What is sent to many hosts comes to each socket of a group, so a service that
 * answers such has one for all; and so have those whose socket a .socket unit has made, or
 * whose configuration has SO_REUSEPORT for purposes of its own.
 *
 * To close a listener of TCP resets whoever waits in it, in the backlog or in the midst of the
 * handshake, and the kernel moves them to another of the group only if the administrator has
 * said so (net.ipv4.tcp_migrate_req).  So a further one is bound early and listens only once
 * nothing can fail any more; and it stays for as long as its address is served: when there are
 * fewer executors than sockets, those that are left over are for all executors. */
#include "shares.h"

#include "claim.h"
#include "conf.h"
#include "listener.h"
#include "log.h"
#include "passed.h"
#include "supervisor.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>

/* Is each executor of SERVICE to have a socket of its own? */
static bool wants_own(const struct service_conf *service)
{
	if (service->protocol == PROTO_UDP)
		return !service->sockopts.value[sockopt_find("SO_REUSEPORT")].set &&
		       !conf_answers_many(service);
	return service->steering == STEERING_CPU;
}

/* How many sockets SERVICE has at each of its addresses. */
static unsigned shares_of(const struct service_conf *service)
{
	if (service->activation[0] || !wants_own(service))
		return 1;
	return service->model->many_processes || service->model->many_threads ? service->workers
									      : 1;
}

unsigned shares_kept(const struct service_conf *service)
{
	return service->protocol == PROTO_TCP ? UINT_MAX : shares_of(service);
}

/* One service's shares while they are claimed. */
struct sharing {
	struct supervisor *s;
	const struct service_conf *service;
	struct listener **opened;
	struct claim *claim;
	size_t n; /* sockets in a row of it, without what is left over */
};

/* The listener that is the share NUMBER beside FIRST, or NULL. */
static struct listener *find(const struct sharing *g, const struct listener *first, unsigned number)
{
	struct listener *l = g->s->listeners;

	while (l && (l->protocol != first->protocol || l->share != number || l->wanted ||
		     !address_equal(&l->asked, &first->asked) || !claim_can_keep(l, g->service)))
		l = l->next;
	return l;
}

/* The socket FROM as the share NUMBER, or if that is NULL a new one. */
static struct listener *make(const struct service_conf *service, const struct listener *first,
			     unsigned number, struct passed_socket *from)
{
	const struct address *at = &first->endpoint.address;
	struct listener_error error;
	char text[ADDRESS_TEXT_MAX];
	struct listener *l;

	if (from)
		l = listener_take_over(service, from, &error);
	else
		l = listener_open_share(service, first, number, &error);
	if (!l) {
		log_event(EVENT_LISTENER_FAILED, F_TEXT(SERVICE, service->name),
			  F_TEXT(ADDRESS, address_format(at, text)), F_TEXT(WHAT, error.what),
			  F_NUMBER(ERRNO, error.error));
		return NULL;
	}
	l->asked = first->asked;
	l->share = number;
	l->shares = l->endpoint.shares = true;
	return l;
}

/* One beside FIRST that the manager has kept, or NULL. */
static struct passed_socket *kept(const struct sharing *g, const struct listener *first)
{
	struct passed_socket *from = passed_find(g->s->passed, (int)g->service->protocol,
						 &first->endpoint.address, claim_v6only(g->service),
						 claim_interface(g->service));

	return from && from->stored ? from : NULL;
}

static void add_opened(struct sharing *g, struct listener *l)
{
	l->next = *g->opened;
	*g->opened = l;
}

/* The share NUMBER beside FIRST: the one there is, one that was kept, or a new one; or, if there
 * can be none, FIRST. */
static struct listener *share(struct sharing *g, struct listener *first, unsigned number)
{
	struct listener *l = first->from ? first : find(g, first, number);

	if (l)
		return l;
	l = make(g->service, first, number, kept(g, first));
	if (!l)
		return first;
	add_opened(g, l);
	return l;
}

/* A further listener of TCP beside FIRST that no executor has for itself, or NULL. */
static struct listener *left_over(struct sharing *g, const struct listener *first, unsigned number)
{
	struct listener *l = g->s->listeners;
	struct passed_socket *from;

	while (l && (l->protocol != first->protocol || l->share == 0 || l->wanted ||
		     !address_equal(&l->asked, &first->asked) || !claim_can_keep(l, g->service)))
		l = l->next;
	if (l)
		return l;
	from = kept(g, first);
	l = from ? make(g->service, first, number, from) : NULL;
	if (l)
		add_opened(g, l);
	return l;
}

/* All that are left over beside the N of the first row. */
static int gather(struct sharing *g, struct claim *left)
{
	int r = 0;

	for (size_t i = 0; i < g->n && r == 0; i++) {
		struct listener *first = g->claim->listeners[i], *l;
		unsigned number = g->claim->rows;

		while (r == 0 && !first->from && (l = left_over(g, first, number++)))
			r = claim_add(left, l);
	}
	return r;
}

/* Put what is left over at the end of each row. */
static int widen(struct sharing *g, const struct claim *left)
{
	struct claim wide = {.rows = g->claim->rows, .several = true};
	int r = 0;

	for (size_t row = 0; row < wide.rows; row++) {
		for (size_t i = 0; i < g->n && r == 0; i++)
			r = claim_add(&wide, g->claim->listeners[row * g->n + i]);
		for (size_t i = 0; i < left->n && r == 0; i++)
			r = claim_add(&wide, left->listeners[i]);
	}
	free(g->claim->listeners);
	*g->claim = wide;
	return r;
}

int shares_claim(struct supervisor *s, const struct service_conf *service, struct listener **opened,
		 struct claim *claim)
{
	unsigned rows = shares_of(service);
	struct sharing g = {s, service, opened, claim, claim->n};
	struct claim left = {0};
	int r = 0;

	for (size_t i = 0; i < g.n && rows > 1; i++)
		if (!claim->listeners[i]->from)
			listener_share_port(claim->listeners[i]->endpoint.fd, service, true);
	for (unsigned row = 1; row < rows; row++) {
		for (size_t i = 0; i < g.n && r == 0; i++)
			r = claim_add(claim, share(&g, claim->listeners[i], row));
		claim->rows = row + 1;
	}
	claim->several = rows > 1;
	if (r == 0 && service->protocol == PROTO_TCP)
		r = gather(&g, &left);
	if (r == 0 && left.n > 0)
		r = widen(&g, &left);
	free(left.listeners);
	return r;
}
