/* SPDX-License-Identifier: ISC */
/* The protocol rows.  MPTCP is TCP with another number in socket(2): RFC 8684, and
 * the kernel's Documentation/networking/mptcp.rst. */
#include "protocol.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

const struct protocol_row protocols[N_PROTOCOLS] = {
	[PROTO_TCP] = {.name = "tcp", .service = "echo-tcp", .type = SOCK_STREAM, .stream = true},
	[PROTO_UDP] = {.name = "udp", .service = "echo-udp", .type = SOCK_DGRAM},
	[PROTO_UNIX] = {.name = "unix",
			.service = "echo-unix",
			.type = SOCK_STREAM,
			.stream = true,
			.local = true},
	[PROTO_UNIX_DGRAM] = {.name = "unix-dgram",
			      .service = "echo-unix-dgram",
			      .type = SOCK_DGRAM,
			      .local = true},
	[PROTO_MPTCP] = {.name = "mptcp",
			 .service = "echo-mptcp",
			 .type = SOCK_STREAM,
			 .ipproto = IPPROTO_MPTCP,
			 .stream = true},
};

int protocol_find(const char *name)
{
	for (int i = 0; i < N_PROTOCOLS; i++)
		if (strcmp(protocols[i].name, name) == 0)
			return i;
	return -EINVAL;
}
