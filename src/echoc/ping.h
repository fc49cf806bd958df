/* SPDX-License-Identifier: ISC */
/* ping.h - what the parts of `echoc ping` share: the schedule (ping.c), the two ways to
 * exchange (ping_stream.c, ping_dgram.c), and what is told (ping_report.c). */
#ifndef ECHOC_PING_H
#define ECHOC_PING_H

#include "exits.h"
#include "hist.h"
#include "sock.h"
#include "verify.h"

enum { PING_SLOTS = 1 << 15, PING_WHY_MAX = 240 };

/* How the result is told. */
enum ping_output { PING_LINES, PING_QUIET, PING_JSON, PING_NAGIOS };

/* A limit of --nagios: 100.0,20% */
struct ping_limit {
	double rta;  /* ms, mean round-trip time */
	double loss; /* percent */
};

/* A message has a number of 32 bits: who does not say how many ends after these. */
#define PING_MOST INT64_C(4000000000)

/* What the command line said; times in ns. */
struct ping_conf {
	struct sock_conf sock;
	int64_t count; /* 1 to PING_MOST */
	int64_t interval, timeout, deadline /* 0: none */;
	int64_t size;      /* bytes of a message */
	bool connect_each; /* streams: a connection for each message */
	int output;        /* enum ping_output */
	int64_t max_loss;  /* percent that is still success */
	int64_t max_rtt;   /* ns, of the mean; 0: any */
	struct ping_limit warning, critical;
};

/* One message. */
struct ping_slot {
	uint32_t seq;  /* 0: never used */
	bool answered; /* or given up: nothing more is waited for */
	bool given_up; /* no answer was counted */
	bool late;     /* its time is over */
	int64_t sent;  /* ns */
	uint64_t end;  /* streams: offset behind its last byte; 0: it was not sent */
};

struct ping;

/* A way to exchange messages. */
struct ping_way {
	/* Send message SEQ, whose slot is noted.  Problems go to ping_problem(). */
	void (*send)(struct ping *p, uint32_t seq);
	/* P's socket is ready. */
	void (*receive)(struct ping *p);
	/* Events of poll(2) to wait for. */
	short (*events)(const struct ping *p);
	void (*close)(struct ping *p);
};

extern const struct ping_way ping_stream, ping_dgram;

struct ping {
	const struct ping_conf *conf;
	const struct target *target;
	const struct ping_way *way;
	const struct address *to; /* one of target's */
	struct address local;     /* of the last connection */
	size_t address;           /* index of TO */
	int fd;                   /* -1: none */
	bool no_more;             /* there is no sense in going on */
	uint32_t id;              /* marks our datagrams */
	uint32_t seq;             /* of the newest message, from 1 */
	uint32_t oldest;          /* all before it are answered or late */
	uint32_t highest;         /* that was answered */
	int64_t began, ended;     /* ns */
	int64_t end;              /* of --deadline, ns; or MOMENT_NEVER */
	struct ping_slot *slots;
	char *out, *in;          /* a message; REPLY_MAX or more bytes of what comes */
	size_t out_at, out_size; /* streams: what is still to be written */
	uint64_t stream;         /* streams: bytes given to this connection */
	struct verify verify;
	uint64_t sent, received, duplicated, reordered, damaged, elsewhere, connections;
	struct hist *rtt, *connect;
	int64_t last_connect;   /* ns */
	enum exit_code code;    /* of the last problem */
	char why[PING_WHY_MAX]; /* its sentence */
};

/* Ping until the end; returns 0 or -errno (out of memory). */
int ping_run(struct ping *p);
void ping_deinit(struct ping *p);

/* The slot of SEQ, or NULL if it is too long ago. */
struct ping_slot *ping_slot(struct ping *p, uint32_t seq);

/* The bytes of message SEQ into P->out. */
void ping_fill(struct ping *p, uint32_t seq);

/* SIZE bytes answered SEQ at NOW; TTL -1 = not known; DAMAGE NULL = none.  Counts and tells. */
void ping_answered(struct ping *p, uint32_t seq, int64_t now, size_t size, int ttl,
		   const char *damage);

/* Something went wrong with SEQ (0: with none).  Tells. */
__attribute__((format(printf, 4, 5))) void ping_problem(struct ping *p, uint32_t seq,
							enum exit_code code, const char *fmt, ...);

/* SEQ's connection has to end: tell of what was under way behind it, too. */
void ping_lost(struct ping *p, uint32_t seq);

/* Go to the name's next address, if nobody has answered.  Returns false if there is none. */
bool ping_next_address(struct ping *p);

/* The first line; a line about an answer; one that none can come; one that a connection
 * stands. */
void ping_report_begin(const struct ping *p);
void ping_report_answer(const struct ping *p, uint32_t seq, int64_t rtt, size_t size, int ttl,
			const char *note);
void ping_report_lost(const struct ping *p, uint32_t seq);
void ping_report_connected(const struct ping *p, int64_t took);

/* The summary, in the form that was asked for.  Returns the exit code. */
int ping_report_end(const struct ping *p);

/* Tell what kept it from starting, in the form that was asked for.  Returns the exit code. */
int ping_report_failure(const struct ping_conf *conf, enum exit_code code, const char *text);

#endif
