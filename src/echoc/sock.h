/* SPDX-License-Identifier: ISC */
/* sock.h - a client's sockets: the options that choose and tune them, opening, connecting.
 * Every socket is close-on-exec and does not block. */
#ifndef ECHOC_SOCK_H
#define ECHOC_SOCK_H

#include "options.h"
#include "sockopt.h"
#include "target.h"

#include <stdio.h>

/* What the user chose; start from SOCK_CONF_INIT. */
struct sock_conf {
	int protocol;             /* enum protocol */
	int family;               /* AF_UNSPEC, AF_INET or AF_INET6 */
	const char *source;       /* ADDR[:PORT], or a path; NULL: the kernel's choice */
	struct sockopt_set asked; /* -o */
	bool show_options;        /* print them when connected */
	int64_t dscp, ttl;        /* -1: untouched */
	bool df;                  /* never fragment */
	bool connected;     /* connect(2) datagram sockets too: errors and filters of one peer */
	bool report_errors; /* IP_RECVERR: ICMP errors come with the datagram they are about */
};

#define SOCK_CONF_INIT                         \
 {                                             \
  .protocol = PROTO_TCP, .dscp = -1, .ttl = -1 \
 }

/* Rows for option_group.rows whose base is a struct sock_conf: the transport, -4, -6,
 * --source, -o, --show-options, --dscp, --ttl, --df. */
extern const struct option_row sock_rows[];
extern const size_t n_sock_rows;

/* The same without those that choose the transport, and without --show-options. */
extern const struct option_row *const sock_tuning_rows;
extern const size_t n_sock_tuning_rows;

/* A socket for TO: options set, bound if CONF says so (a unix datagram socket always is:
 * it could get no answer).  CONF's source with port 0 may be replaced with SOURCE_PORT, if
 * that is not 0.  Returns the descriptor, or -errno with *WHAT the step (static storage). */
int sock_open(const struct sock_conf *conf, const struct address *to, uint16_t source_port,
	      const char **what);

/* sock_open(), and connect(2) for streams and for CONF->connected, until DEADLINE
 * (moment.h).  The same results; -ETIMEDOUT at the deadline, -EINTR at a signal. */
int sock_connect(const struct sock_conf *conf, const struct address *to, int64_t deadline,
		 const char **what);

/* Try the addresses of T in their order; each has TIMEOUT nanoseconds.  *TO is the one that
 * worked, or the last. */
int sock_connect_any(const struct sock_conf *conf, const struct target *t, int64_t timeout,
		     const struct address **to, const char **what);

/* The local address of FD. */
void sock_name(int fd, struct address *out);

/* Print every option of FD that can be read, asked and effective. */
void sock_print_options(const struct sock_conf *conf, int fd, FILE *out);

/* HOST and, if it has no port and there is one, PORT from the N arguments at ARGV, taken
 * apart and resolved.  Returns how many arguments it took, or the negative of an exit code
 * after telling the user. */
int sock_take_target(const struct options *o, const struct sock_conf *conf, int n, char *argv[],
		     struct target *t);

#endif
