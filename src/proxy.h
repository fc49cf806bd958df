/* SPDX-License-Identifier: ISC */
/* proxy.h - the header that a proxy sends before a client's bytes, to say whose they are: "The
 * PROXY protocol, versions 1 & 2", doc/proxy-protocol.txt of HAProxy.  Pure: no system calls,
 * no memory of its own. */
#ifndef ECHOD_PROXY_H
#define ECHOD_PROXY_H

#include "address.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	PROXY_V1_MAX = 107,               /* bytes of a header of version 1, CR LF included */
	PROXY_V2_FIXED = 16,              /* bytes of version 2 before what its length counts */
	PROXY_MAX = PROXY_V2_FIXED + 2048 /* of any header that is taken */
};

/* Whose connection it is, as a proxy told. */
struct proxy_header {
	uint8_t version;            /* 1 or 2 */
	struct address source;      /* the client; len 0: not told (LOCAL, UNKNOWN, AF_UNSPEC), the
				     * connection is the proxy's own */
	struct address destination; /* where the client connected to; len 0: not told */
};

/* What can be wrong with a header. */
enum proxy_fault {
	PROXY_NO_HEADER = 1, /* what came is the beginning of none */
	PROXY_UNENDED,       /* version 1: no line end within PROXY_V1_MAX bytes */
	PROXY_LINE_END,      /* version 1: CR without LF or the other way round */
	PROXY_FIELDS,        /* version 1: not the fields there must be, a space between each */
	PROXY_FAMILY,        /* not a family and transport that a stream can have */
	PROXY_ADDRESS,       /* version 1: not an address of the family */
	PROXY_PORT,          /* version 1: not 0 to 65535, or not as short as can be */
	PROXY_VERSION,       /* binary, and not of version 2 */
	PROXY_COMMAND,       /* version 2: neither LOCAL nor PROXY */
	PROXY_LENGTH,        /* version 2: too short for the addresses of its family */
	PROXY_TOO_LONG,      /* version 2: longer than PROXY_MAX */
	PROXY_TLV,           /* version 2: a TLV is longer than the header */
	PROXY_CHECKSUM,      /* version 2: not what PP2_TYPE_CRC32C says */
	N_PROXY_FAULTS
};

/* A phrase for the log for each fault. */
extern const char *const proxy_faults[N_PROXY_FAULTS];

/* Read a header from the first N bytes of what a proxy sent, at P.  Returns its length and
 * *HEADER; 0 if all N bytes may be the beginning of one (never when N is PROXY_MAX); or minus
 * an enum proxy_fault. */
int proxy_parse(const char *p, size_t n, struct proxy_header *header);

#endif
