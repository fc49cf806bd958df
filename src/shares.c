/* SPDX-License-Identifier: ISC */
/* With a socket of its own an executor has its flows for itself: they stay in order, and no
 * other processor touches the queue.  The kernel gives each datagram to one of the group, by
 * addresses and ports.  The sockets are the supervisor's, so what waits in one waits for
 * whoever comes after a worker that died.
 *
 * The first is bound without SO_REUSEPORT, and so only if nobody has the port; then it allows
 * the others.  What is sent to many hosts comes to each socket of a group, so a service that
 * answers such has one for all; and so have those whose socket a .socket unit has made, or
 * whose configuration has SO_REUSEPORT for purposes of its own. */
#include "shares.h"

#include "claim.h"
#include "conf.h"
#include "listener.h"
#include "log.h"
#include "passed.h"
#include "supervisor.h"

#include <errno.h>

/* Is the service to answer what is sent to many hosts? */
static bool answers_many(const struct service_conf *service)
{
	if (service->udp.answer_broadcast || service->udp.n_groups > 0)
		return true;
	for (size_t i = 0; i < n_sockopts; i++)
		if (sockopts[i].type == OPT_MEMBERSHIP && service->sockopts.value[i].set)
			return true;
	return false;
}

unsigned shares_of(const struct service_conf *service)
{
	const struct sockopt_value *reuse = &service->sockopts.value[sockopt_find("SO_REUSEPORT")];

	if (service->protocol != PROTO_UDP || service->activation[0] || reuse->set ||
	    answers_many(service))
		return 1;
	return service->model->many_processes || service->model->many_threads ? service->workers
									      : 1;
}

static struct listener *find(const struct supervisor *s, const struct listener *first,
			     unsigned number)
{
	struct listener *l = s->listeners;

	while (l && (l->protocol != first->protocol || l->share != number || l->wanted ||
		     !address_equal(&l->asked, &first->asked)))
		l = l->next;
	return l;
}

/* One that was in the manager's store, or a new one. */
static struct listener *make(const struct supervisor *s, const struct service_conf *service,
			     const struct listener *first, unsigned number)
{
	const struct address *at = &first->endpoint.address;
	struct passed_socket *from = passed_find(s->passed, (int)service->protocol, at,
						 claim_v6only(service));
	struct listener_error error;
	char text[ADDRESS_TEXT_MAX];
	struct listener *l;

	if (from && from->stored)
		l = listener_take_over(service, from, &error);
	else
		l = listener_open_share(service, first, number, &error);
	if (!l) {
		log_event(EVENT_LISTENER_FAILED, F_TEXT(SERVICE, service->name),
			  F_TEXT(ADDRESS, address_format(at, text)), F_TEXT(WHAT, error.what),
			  F_NUMBER(ERRNO, error.error));
		return NULL;
	}
	l->share = number;
	l->shares = l->endpoint.shares = true;
	return l;
}

int shares_claim(struct supervisor *s, const struct service_conf *service, struct listener **opened,
		 struct claim *claim)
{
	unsigned rows = shares_of(service);
	size_t n = claim->n;
	int r = 0;

	for (size_t i = 0; i < n && rows > 1; i++)
		if (!claim->listeners[i]->from)
			listener_share_port(claim->listeners[i]->endpoint.fd, service, true);
	for (unsigned row = 1; row < rows; row++) {
		for (size_t i = 0; i < n && r == 0; i++) {
			struct listener *first = claim->listeners[i];
			struct listener *l = first->from ? first : find(s, first, row);

			if (!l && (l = make(s, service, first, row))) {
				l->next = *opened;
				*opened = l;
			}
			r = claim_add(claim, l ? l : first);
		}
		claim->rows = row + 1;
	}
	return r;
}
