/* SPDX-License-Identifier: ISC */
/* load_conn.h - the parts of a running load: threads and their connections. */
#ifndef ECHOC_LOAD_CONN_H
#define ECHOC_LOAD_CONN_H

#include "load.h"

#include <pthread.h>
#include <stdatomic.h>

enum { LOAD_CHUNK = 256 * 1024 };   /* bytes: the most that is sent or received at once */
enum { LOAD_AUTOPSY = 256 * 1024 }; /* bytes that are looked at to name a damage */

enum load_state { LOAD_IDLE, LOAD_CONNECTING, LOAD_OPEN, LOAD_FIN, LOAD_DAMAGED };

/* A message on its way. */
struct load_message {
	uint64_t begin, end; /* its bytes of the stream: begin <= byte < end */
	int64_t due;         /* ns: when it was to be sent */
	int64_t taken;       /* ns: when it got its place in flight */
	bool done;           /* a datagram that came back before an earlier one */
	bool measured;
};

/* One connection; or a datagram socket with the stream of its datagrams, each of which begins
 * at a multiple of 8. */
struct load_conn {
	int fd;          /* -1: none */
	uint32_t stream; /* the number of its bytes (pattern.h) */
	enum load_state state;
	bool want_out;      /* EPOLLOUT is asked for */
	bool tried;         /* it stood once, or failed */
	uint32_t head;      /* ring index of the oldest message in flight */
	uint32_t in_flight; /* messages */
	uint32_t unsent;    /* datagrams in flight that are yet to be sent */
	struct load_message *ring;
	uint64_t target;   /* bytes to send: the end of the last message in flight */
	uint64_t sent;     /* bytes */
	uint64_t received; /* bytes, all of them verified */
	uint64_t newest;   /* the begin of the newest datagram that came back */
	int64_t active;    /* ns: the last progress */
	uint64_t started;  /* messages in its whole life */
	uint64_t owed;     /* messages that are due and wait for a place in flight */
	uint64_t number;   /* among all connections */
	int64_t opened;    /* ns: when connect(2) was called */
	int64_t retry;     /* ns: not before then another connect(2) */
	uint8_t *autopsy;  /* LOAD_DAMAGED: what came, LOAD_AUTOPSY bytes of room */
	size_t autopsy_len;
};

/* What all threads share. */
struct load_shared {
	const struct load_conf *conf;
	uint32_t ring_mask;           /* ring size - 1 */
	_Atomic uint32_t next_stream; /* number of the next stream; the first is 1 */
	_Atomic unsigned connected;   /* threads whose connections stand, or failed */
	_Atomic unsigned finished;    /* threads that have nothing more to start */
	_Atomic int64_t start;        /* ns: when to begin; 0: not yet */
	_Atomic int64_t begin, end;   /* ns: what is measured; end INT64_MAX: until the count */
	_Atomic bool stop;
	_Atomic uint64_t trouble; /* failures and damages, for who watches */
	pthread_mutex_t lock;     /* of the damages below */
	struct damage damage[LOAD_DAMAGES_MAX];
	unsigned n_damage;
};

struct load_thread {
	struct load_shared *shared;
	const struct load_conf *conf;
	bool stream;       /* as opposed to datagrams */
	bool open_loop;    /* there is a rate */
	bool connect_each; /* of CONF */
	bool running;      /* messages may be started */
	bool started;
	int epoll_fd;
	uint32_t depth; /* of CONF */
	uint32_t n_conns;
	struct load_conn *conns;
	uint64_t *in, *out; /* LOAD_CHUNK + 16 bytes each, at offset % 8 */
	int64_t now;        /* ns */
	int64_t begin, end; /* copies, once started */
	int64_t next_due;   /* ns: the next one; INT64_MAX: none */
	int64_t last;       /* ns: the last completion of a measured message */
	uint64_t in_flight; /* messages of all */
	uint64_t left;      /* messages that may still be measured */
	uint64_t longest;   /* bytes of the longest stream */
	struct hist *latency, *connect, *lag;
	struct raw *raw;     /* every latency; NULL: not asked for */
	uint64_t owed;       /* messages of all */
	uint64_t scheduled;  /* messages that became due */
	uint32_t connecting; /* connections that are not yet */
	uint64_t seed;
	int64_t idle;       /* ns spent spinning for nothing */
	double cpu, waited; /* as in struct load_result */
	pthread_t id;
	unsigned number;
	struct load_counts counts;
};

/* Open C, and start what it owes once it stands.  Failures are counted. */
void load_conn_open(struct load_thread *t, struct load_conn *c);

/* Start messages on C as long as it has places and there are any, and send. */
void load_conn_refill(struct load_thread *t, struct load_conn *c);

/* epoll has EVENTS for C. */
void load_conn_ready(struct load_thread *t, struct load_conn *c, uint32_t events);

/* Look after C now and then: timeouts, new attempts, the end of an autopsy. */
void load_conn_tick(struct load_thread *t, struct load_conn *c);

/* The time is over: what C has in flight did not come back. */
void load_conn_give_up(struct load_thread *t, struct load_conn *c);

/* --- within the family */

/* When message NTH of C is due in an open loop. */
int64_t load_due(const struct load_thread *t, const struct load_conn *c, uint64_t nth);

/* Ask for EPOLLOUT or no more. */
void load_conn_watch(struct load_thread *t, struct load_conn *c, bool want_out);

/* Close C; it may be opened again.  What was in flight is over. */
void load_conn_close(struct load_thread *t, struct load_conn *c);

/* C failed: count, close, try again after a while. */
void load_conn_fail(struct load_thread *t, struct load_conn *c, enum load_failure why);
void load_conn_fail_errno(struct load_thread *t, struct load_conn *c, int error);

/* What C has in flight counts with the time that it was waited for: without it a stall at the
 * end would look like speed.  (Lost datagrams are another matter, and counted by themselves.) */
void load_conn_waited(struct load_thread *t, const struct load_conn *c);

/* The oldest message came back, or is given up (then it is only forgotten). */
void load_message_done(struct load_thread *t, struct load_conn *c, struct load_message *m);
void load_message_pop(struct load_thread *t, struct load_conn *c);

/* The message in flight that holds byte AT of C, or NULL. */
struct load_message *load_message_at(struct load_thread *t, struct load_conn *c, uint64_t at);

/* Count D, and keep it if it is among the first. */
void load_damage(struct load_thread *t, struct load_conn *c, struct damage *d);
struct damage_world load_world(const struct load_thread *t);

/* The two kinds of socket. */
void load_stream_push(struct load_thread *t, struct load_conn *c);
void load_stream_pull(struct load_thread *t, struct load_conn *c);
void load_stream_conclude(struct load_thread *t, struct load_conn *c);
void load_stream_stalled(struct load_thread *t, struct load_conn *c);
void load_dgram_push(struct load_thread *t, struct load_conn *c);
void load_dgram_pull(struct load_thread *t, struct load_conn *c);
void load_dgram_expire(struct load_thread *t, struct load_conn *c);
void load_dgram_give_up(struct load_thread *t, struct load_conn *c);

/* The thread's program. */
void *load_thread_main(void *thread);

#endif
