/* SPDX-License-Identifier: ISC */
/* sockopt.h - the socket options, a row each: how a value is written, where it applies,
 * when it is set.  A row is also the configuration key services[].socket.NAME. */
#ifndef ECHOD_SOCKOPT_H
#define ECHOD_SOCKOPT_H

#include "needs.h"
#include "protocol.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* When an option is set.  Linux copies most options of a listener to the sockets that
 * accept(2) makes; AT_CONNECTION is for those that it does not copy, which differ with
 * the protocol: ask sockopt_stage().  Datagram sockets have only AT_SOCKET. */
enum sockopt_stage {
	AT_SOCKET, /* between socket(2) and bind(2) */
	AT_BOUND,  /* between bind(2) and listen(2) */
	AT_CONNECTION
}; /* on each accepted or connected socket */

enum sockopt_type {
	OPT_BOOL,       /* int 0 or 1; `true` or `false` */
	OPT_INT,        /* int within min..max */
	OPT_SIZE,       /* int, bytes; `65536` or "64K" */
	OPT_SECONDS,    /* int, whole seconds */
	OPT_TIME,       /* struct timeval; seconds, may be a fraction */
	OPT_LINGER,     /* struct linger; seconds, or `false` for off */
	OPT_STRING,     /* characters: interface, congestion control */
	OPT_MEMBERSHIP, /* multicast group, "239.1.2.3" or "239.1.2.3%eth0" */
	OPT_NAMES       /* a word of the row's own set: IP_MTU_DISCOVER = "do" */
};

/* A value of any option, in the row's own unit. */
struct sockopt_value {
	bool set;       /* asked for? */
	int64_t number; /* BOOL, INT, SIZE, SECONDS, NAMES; TIME in microseconds; LINGER: -1 = off */
	char text[64];  /* STRING, MEMBERSHIP */
};

/* A word for a number, in the table that ends with a NULL name. */
struct sockopt_word {
	const char *name;
	int number;
};

struct sockopt_row {
	const char *name; /* "SO_RCVBUF" */
	int level, option;
	enum sockopt_type type;
	enum sockopt_stage stage; /* AT_SOCKET or AT_BOUND, of what listens */
	unsigned protocols;       /* mask of 1u << enum protocol */
	unsigned not_copied;      /* those whose accept(2) does not copy it: AT_CONNECTION */
	int family;               /* AF_INET or AF_INET6 where it holds for that alone; else 0 */
	int64_t min, max;         /* of numbers */
	const struct sockopt_word *words; /* of OPT_NAMES */
	int read_option;                  /* not 0: getsockopt(2) takes this one instead */
	bool unreadable;                  /* getsockopt(2) does not know it */
	bool doubled;                     /* the kernel doubles what one sets: socket(7) */
	bool zero_unsets;    /* 0 undoes it, although a new socket shows another value */
	const char *refused; /* not NULL: never accepted, and why */
	enum need needs;     /* of who starts echod, for a number above this: */
	int64_t needs_above;
	const char *free_words; /* not NULL: the need is for words that this file has not */
	const char *text;       /* one sentence for --list-options and the manual page */
};

extern const struct sockopt_row sockopts[];
extern const size_t n_sockopts;

/* The most rows that the table may have; a set has a place for each. */
enum { SOCKOPTS_MAX = 96 };

/* What one service asks for: value[i] belongs to sockopts[i]. */
struct sockopt_set {
	struct sockopt_value value[SOCKOPTS_MAX];
};

/* Index of the row called NAME, or -ENOENT. */
int sockopt_find(const char *name);

/* When ROW is set on a socket of PROTOCOL. */
enum sockopt_stage sockopt_stage(const struct sockopt_row *row, enum protocol protocol);

/* Parse TEXT as it would be written with -o NAME=TEXT ("true", "64K", "0.5", "do") into
 * *OUT.  Returns 0, or -EINVAL with *WHY (static storage) what is allowed. */
int sockopt_parse(const struct sockopt_row *row, const char *text, struct sockopt_value *out,
		  const char **why);

/* What VALUE of ROW needs that not every process has. */
enum need sockopt_need(const struct sockopt_row *row, const struct sockopt_value *value);

/* Why STEP of making a socket of FAMILY ("socket", "bind", an option's name) failed with the
 * errno ERROR, if that is for want of a privilege: " (needs CAP_NET_ADMIN; ...)", else "".
 * Returns BUF. */
const char *sockopt_lack(const char *step, int error, sa_family_t family,
			 char buf[NEED_TEXT_MAX + 3]);

/* Set row's option on FD to VALUE.  Returns 0 or -errno. */
int sockopt_set(int fd, const struct sockopt_row *row, const struct sockopt_value *value);

/* Read row's effective value of FD into *OUT (.set = true).  Returns 0 or -errno. */
int sockopt_get(int fd, const struct sockopt_row *row, struct sockopt_value *out);

/* Set every option of SET that belongs to STAGE and holds for PROTOCOL and FAMILY (AF_*).
 * Stops at the first that fails: returns -errno and *FAILED its row.  Else 0. */
int sockopt_apply(int fd, const struct sockopt_set *set, enum sockopt_stage stage,
		  enum protocol protocol, int family, const struct sockopt_row **failed);

/* The text of VALUE in the form that sockopt_parse() takes.  Returns BUF. */
const char *sockopt_format(const struct sockopt_row *row, const struct sockopt_value *value,
			   char *buf, size_t size);

/* What ROW takes, for people: "an integer, 1 to 255".  Returns BUF. */
const char *sockopt_allowed(const struct sockopt_row *row, char *buf, size_t size);

/* The names of the protocols in MASK: "tcp, mptcp".  Returns BUF. */
const char *sockopt_protocols(unsigned mask, char *buf, size_t size);

/* Print the table for people: name, level, type, where it applies, sentence. */
void sockopt_list(FILE *out);

#endif
