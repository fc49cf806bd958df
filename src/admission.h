/* SPDX-License-Identifier: ISC */
/* admission.h - who is let in: allow and deny, and the limits of a source, for connections. */
#ifndef ECHOD_ADMISSION_H
#define ECHOD_ADMISSION_H

#include <stdbool.h>
#include <stdint.h>

struct address;
struct executor;

/* PEER has connected to EX, which has SLOT for it: may it go on?  Where a header of the PROXY
 * protocol must say whose the connection is, this asks who may say so, and that client is asked
 * for when the header has come.  If not, it is counted and logged, and the slot is still EX's. */
bool admission_open(struct executor *ex, const struct address *peer, uint32_t slot);

/* May PEER be served?  If so, it is counted for its source until SLOT is released; if not, that
 * is counted and logged. */
bool admission_grant(struct executor *ex, const struct address *peer, uint32_t slot);

#endif
