/* SPDX-License-Identifier: ISC */
/* dgram_judge.h - who is answered: the rules for one datagram, and nothing of how it came. */
#ifndef ECHOD_DGRAM_JUDGE_H
#define ECHOD_DGRAM_JUDGE_H

#include "dgram_guard.h"
#include "own.h"
#include "stats.h"
#include "worker.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One datagram and what the kernel told of it. */
struct question {
	struct address from;
	struct address to;       /* destination address, no port; len 0 = unknown (UNIX) */
	struct in_addr spec_dst; /* IPv4: our own address, to answer from */
	unsigned ifindex;        /* interface it came in by; 0 = unknown */
	bool bound;              /* our socket is bound to .to, and answers from nowhere else */
	char *data;
	size_t size;    /* bytes */
	bool truncated; /* and it had more */
	int tos, ttl;   /* as it came: TOS or traffic class, TTL or hop limit; -1 = unknown */
	int64_t when;   /* the kernel's time, microseconds since 1970; -1 = unknown */
};

/* The rules of one service; embedded, set up once. */
struct dgram_judge {
	const struct worker *worker;
	struct ports refused;   /* source ports that are never answered */
	struct address *groups; /* multicast groups that are answered */
	size_t n_groups;
	struct dgram_guard guard; /* the last rule: it charges the source */
};

/* Set up J for the service of W.  Returns 0 or -ENOMEM. */
int dgram_judge_init(struct dgram_judge *j, const struct worker *w);

/* Free what J holds. */
void dgram_judge_deinit(struct dgram_judge *j);

/* Was Q sent to many hosts, and not to an address of ours? */
bool dgram_judge_many(const struct question *q);

/* The counter of the rule that forbids an answer to Q, or C_DATAGRAMS_OUT if none does.  To be
 * asked once for each datagram. */
enum counter dgram_judge(struct dgram_judge *j, const struct question *q);

#endif
