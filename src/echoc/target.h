/* SPDX-License-Identifier: ISC */
/* target.h - whom to talk to: names and numbers as people write them. */
#ifndef ECHOC_TARGET_H
#define ECHOC_TARGET_H

#include "address.h"
#include "protocol.h"

enum { TARGET_MAX = 16 /* addresses of one name */, TARGET_HOST_MAX = 256 };

/* What was asked for and what it is found to be. */
struct target {
	char host[TARGET_HOST_MAX]; /* name, number (without brackets), or a unix path */
	char port[64];              /* number or name of services(5); "" for unix */
	struct address addresses[TARGET_MAX];
	size_t n; /* of addresses; 0 before target_resolve() */
};

/* Does TEXT carry a port: "host:7", "[::1]:echo"?  "::1" does not. */
bool target_has_port(const char *text);

/* Take HOST ("host", "192.0.2.1", "::1", "[::1]", "fe80::1%eth0", each with or without
 * ":port", or a path) and PORT (NULL: the one in HOST, else 7) apart.  Returns 0, or
 * -EINVAL with *WHY a phrase (static storage). */
int target_parse(struct target *t, const char *host, const char *port, enum protocol protocol,
		 const char **why);

/* Find the addresses of T, of FAMILY or AF_UNSPEC, best first.  Returns 0, or -ENOENT (no
 * such name), -EAGAIN (the resolver does not answer), -EINVAL (no such port name) with
 * *WHY a phrase. */
int target_resolve(struct target *t, enum protocol protocol, int family, const char **why);

#endif
