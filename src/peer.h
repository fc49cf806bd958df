/* SPDX-License-Identifier: ISC */
/* peer.h - how much of a peer's address the log may say (log.client). */
#ifndef ECHOD_PEER_H
#define ECHOD_PEER_H

#include "address.h"

struct worker;

/* The text of PEER for the log, in BUF; or NULL if it is not to be there. */
const char *peer_text(const struct worker *w, const struct address *peer,
		      char buf[ADDRESS_TEXT_MAX]);

#endif
