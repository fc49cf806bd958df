/* SPDX-License-Identifier: ISC */
/* path.h - what the checks of `echoc path` share.  A check is a function that fills one
 * verdict; cmd_path.c has the table of them. */
#ifndef ECHOC_PATH_H
#define ECHOC_PATH_H

#include "exits.h"
#include "sock.h"

#include <jansson.h>

enum path_state { PATH_OK, PATH_DEGRADED, PATH_BROKEN, PATH_UNKNOWN };

struct path_conf {
	struct sock_conf sock;
	int64_t timeout;     /* ns without an answer */
	int64_t max_idle;    /* ns */
	int64_t ports;       /* source ports to try */
	int64_t count;       /* messages from each */
	int64_t report_port; /* of a listener with respond = "report"; 0: none */
	int only;            /* PATH_TCP, PATH_UDP, or both */
	const char *list;    /* names of checks, NULL: all */
	bool json, verbose;
};

enum { PATH_TCP = 1, PATH_UDP = 2, PATH_BOTH = 3 };

struct verdict {
	enum path_state state;
	enum exit_code code; /* of PATH_BROKEN */
	char why[400];
	json_t *details; /* an object, for --json; owned by the caller, never NULL */
};

struct path {
	const struct path_conf *conf;
	const struct target *target;
	const struct address *tcp, *udp; /* where it answers; NULL: nowhere */
	int64_t rtt;                     /* of one datagram or message, ns; 0 unknown */
	char *in;                        /* REPLY_MAX bytes */
};

__attribute__((format(printf, 3, 4))) void path_say(struct verdict *v, enum path_state state,
						    const char *fmt, ...);

/* The socket options of the user for streams and for datagrams. */
struct sock_conf path_stream_conf(const struct path *p);
struct sock_conf path_dgram_conf(const struct path *p);

/* Send one datagram of SIZE bytes from FD to P->udp; up to TRIES times, each for WAIT ns. */
enum path_answer {
	PATH_WHOLE,   /* it came back */
	PATH_CUT,     /* only .got bytes of it */
	PATH_WRONG,   /* changed, or from elsewhere */
	PATH_TOO_BIG, /* this host or an ICMP said so: .mtu, .local, .from */
	PATH_ERROR,   /* another error: .error */
	PATH_SILENT
};

struct path_try {
	enum path_answer answer;
	size_t got;   /* bytes */
	int64_t rtt;  /* ns */
	int error;    /* -errno */
	uint32_t mtu; /* 0: not told */
	bool local;   /* TOO_BIG: this host's interface, not the path */
	char complaint[128];
};

void path_datagram(struct path *p, int fd, const struct address *to, size_t size, int tries,
		   int64_t wait, struct path_try *out);

/* How long to wait for one datagram of many, ns. */
int64_t path_wait(const struct path *p);

void path_check_tcp(struct path *p, struct verdict *v);
void path_check_udp(struct path *p, struct verdict *v);
void path_check_half_close(struct path *p, struct verdict *v);
void path_check_mtu(struct path *p, struct verdict *v);
void path_check_fragments(struct path *p, struct verdict *v);
void path_check_idle(struct path *p, struct verdict *v);
void path_check_ports(struct path *p, struct verdict *v);
void path_check_dscp(struct path *p, struct verdict *v);
void path_check_who(struct path *p, struct verdict *v);
void path_check_families(struct path *p, struct verdict *v);

/* What the report listener at P->conf->report_port tells of a datagram from a new socket with
 * CONF: an object that the caller owns, or NULL. */
json_t *path_ask(struct path *p, const struct sock_conf *conf);

/* One message of SIZE bytes (at most 64) over the stream FD: its time in ns, or -errno
 * (-EPIPE: end of file). */
int64_t path_message(int fd, size_t size, int64_t timeout);

#endif
