/* SPDX-License-Identifier: ISC */
/* protocol.h - the kinds of socket that a service can speak, one row each. */
#ifndef ECHOD_PROTOCOL_H
#define ECHOD_PROTOCOL_H

#include <stdbool.h>

enum protocol { PROTO_TCP, PROTO_UDP, PROTO_UNIX, PROTO_UNIX_DGRAM, PROTO_MPTCP, N_PROTOCOLS };

/* One protocol.  Bit (1u << protocol) names it in a mask (sockopt.h). */
struct protocol_row {
	const char *name;    /* as in the configuration: "tcp" */
	const char *service; /* default name of a service: "echo-tcp" */
	int type;            /* SOCK_STREAM or SOCK_DGRAM */
	int ipproto;         /* third argument of socket(2) */
	bool stream;         /* connections, as opposed to datagrams */
	bool local;          /* AF_UNIX: addresses are paths */
};

extern const struct protocol_row protocols[N_PROTOCOLS];

/* The protocol called NAME, or -EINVAL. */
int protocol_find(const char *name);

#endif
