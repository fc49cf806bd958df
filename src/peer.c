/* SPDX-License-Identifier: ISC */
/* A peer's address in the log: all of it, its network, or nothing. */
#include "peer.h"

#include "conf.h"
#include "worker.h"

const char *peer_text(const struct worker *w, const struct address *peer,
		      char buf[ADDRESS_TEXT_MAX])
{
	switch (w->log->client) {
	case LOG_CLIENT_FULL:
		return address_format(peer, buf);
	case LOG_CLIENT_PREFIX:
		return address_format_network(peer, buf);
	default:
		return NULL;
	}
}
