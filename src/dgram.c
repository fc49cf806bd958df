/* SPDX-License-Identifier: ISC */
/* Datagrams come in batches, each is judged, and all answers leave together.  At most one
 * datagram of the same size goes out for each that came in.
 *
 * A batch is no larger than what the processor's cache holds between receiving and sending:
 * many small ones, few large ones.  The first places are used first, so that a service of
 * small datagrams has touched little memory, however large the batch may be. */
#include "dgram.h"

#include "conf.h"
#include "dgram_control.h"
#include "executor.h"
#include "respond.h"
#include "stats.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>

enum {
	/* 65,535 bytes hold any datagram of IPv4 and IPv6 without jumbograms (RFC 2675), and as
	 * much as the kernel joins. */
	DATAGRAM_MAX = 65536,
	/* From one to the next, not a power of two: their first lines would be rivals for the
	 * same few of the cache. */
	STRIDE = DATAGRAM_MAX + 192,
	CACHED = 1 << 20, /* bytes that a batch may have */
	FIRST = 8,        /* datagrams of a batch while nothing is known of their size */
	ERRORS = 64       /* that are taken from a socket in a row */
};

/* Where one datagram is received, or several that the kernel has joined. */
struct place {
	struct question q;
	struct iovec iov;
	_Alignas(struct cmsghdr) char control[DGRAM_CONTROL_IN];
};

static void lay_out(struct dgram *d)
{
	for (unsigned i = 0; i < d->batch; i++) {
		struct place *p = &d->places[i];

		p->iov = (struct iovec){.iov_base = d->memory + (size_t)i * STRIDE,
					.iov_len = DATAGRAM_MAX};
		d->headers[i].msg_hdr = (struct msghdr){
			.msg_name = &p->q.from.sa,
			.msg_iov = &p->iov,
			.msg_iovlen = 1,
			.msg_control = p->control,
		};
	}
}

/* Not from the heap: huge pages would make much memory of little. */
static char *map(size_t size)
{
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		return NULL;
	madvise(memory, size, MADV_NOHUGEPAGE);
	return memory;
}

/* Without room for it the kernel does not hand out the descriptors either that a UNIX client may
 * pass, unix(7): where only a report would have a use for what it tells, there is none. */
static size_t room_for_control(const struct service_conf *conf)
{
	return protocols[conf->protocol].local && conf->respond != RESPOND_REPORT
		       ? 0
		       : DGRAM_CONTROL_IN;
}

int dgram_init(struct dgram *d, struct executor *ex)
{
	const struct udp_conf *udp = &ex->worker->conf->udp;
	int r;

	*d = (struct dgram){.executor = ex,
			    .responder = &responders[ex->worker->conf->respond],
			    .control = room_for_control(ex->worker->conf),
			    .batch = udp->batch};
	d->limit = d->batch < FIRST ? d->batch : FIRST;
	d->headers = calloc(d->batch, sizeof(*d->headers));
	d->places = calloc(d->batch, sizeof(*d->places));
	d->memory = map((size_t)d->batch * STRIDE);
	r = d->headers && d->places && d->memory ? dgram_judge_init(&d->judge, ex->worker)
						 : -ENOMEM;
	if (r == 0)
		r = dgram_out_init(&d->out, ex->stats, d->batch, udp->gro);
	if (r < 0) {
		dgram_deinit(d);
		return r;
	}
	d->out.answered = d->responder->answered;
	lay_out(d);
	return 0;
}

void dgram_deinit(struct dgram *d)
{
	dgram_out_deinit(&d->out);
	dgram_judge_deinit(&d->judge);
	if (d->memory)
		munmap(d->memory, (size_t)d->batch * STRIDE);
	free(d->places);
	free(d->headers);
	*d = (struct dgram){.batch = 0};
}

/* Receive what waits, up to the limit.  Returns how many places are filled, 0: nothing waits.
 * An error to be taken from the socket (an ICMP answer to something we sent) is no concern of
 * ours; where there is nothing else the system is out of something. */
static unsigned receive(struct dgram *d, int fd)
{
	for (unsigned i = 0; i < d->limit; i++) {
		d->headers[i].msg_hdr.msg_namelen = sizeof(struct address) -
						    offsetof(struct address, sa);
		d->headers[i].msg_hdr.msg_controllen = d->control;
	}
	d->error = 0;
	for (int errors = 0; errors < ERRORS; errors++) {
		int n = recvmmsg(fd, d->headers, d->limit, MSG_DONTWAIT, NULL);

		if (n > 0)
			return (unsigned)n;
		if (n == 0 || errno == EAGAIN)
			return 0;
	}
	d->error = errno;
	return 0;
}

/* Our side of Q: the address that it was sent to, with the port. */
static struct address local_side(const struct dgram *d, const struct question *q)
{
	struct address local = q->to.len > 0 ? q->to : *d->local;

	if (local.sa.sa_family == AF_INET)
		local.in.sin_port = htons(address_port(d->local));
	else if (local.sa.sa_family == AF_INET6)
		local.in6.sin6_port = htons(address_port(d->local));
	return local;
}

/* What goes out for Q, in its place: Q's size is then that of the answer.  Returns
 * C_DATAGRAMS_OUT, or as what it is counted that nothing does. */
static enum counter respond(const struct dgram *d, struct question *q)
{
	struct address local;
	ssize_t n;

	if (!d->responder->datagram)
		return C_DATAGRAMS_OUT;
	local = local_side(d, q);
	n = d->responder->datagram(&(struct asked_datagram){.executor = d->executor,
							    .from = &q->from,
							    .to = &local,
							    .received = q->when,
							    .tos = q->tos,
							    .ttl = q->ttl},
				   q->data, q->size);
	if (n < 0)
		return d->responder->silent;
	q->size = (size_t)n;
	return C_DATAGRAMS_OUT;
}

/* One datagram: here it is decided what becomes of it. */
static void consider(struct dgram *d, int fd, struct question *q)
{
	struct stats *stats = d->executor->stats;
	enum counter verdict = dgram_judge(&d->judge, q);

	stats_add(stats, C_DATAGRAMS_IN, 1);
	stats_add(stats, C_BYTES_IN, q->size);
	if (verdict == C_DATAGRAMS_OUT)
		verdict = respond(d, q);
	if (verdict == C_DATAGRAMS_OUT)
		dgram_out_add(&d->out, fd, q, q->data, q->size);
	else
		stats_add(stats, verdict, 1);
}

/* Is a socket bound to the address A of ours alone?  Then the kernel need not be told from where
 * its answers are to leave. */
static bool bound_to(const struct address *a, const struct question *q)
{
	if (q->to.len == 0 || a->sa.sa_family != q->to.sa.sa_family || dgram_judge_many(q))
		return false;
	if (a->sa.sa_family == AF_INET)
		return a->in.sin_addr.s_addr == q->to.in.sin_addr.s_addr;
	return IN6_ARE_ADDR_EQUAL(&a->in6.sin6_addr, &q->to.in6.sin6_addr);
}

/* What place I has received.  Returns how many datagrams. */
static size_t open_place(struct dgram *d, const struct endpoint *ep, unsigned i)
{
	struct mmsghdr *h = &d->headers[i];
	struct question *q = &d->places[i].q;
	char *at = d->places[i].iov.iov_base;
	size_t rest = h->msg_len, size, segment, n = 0;

	q->from.len = h->msg_hdr.msg_namelen;
	q->truncated = h->msg_hdr.msg_flags & MSG_TRUNC;
	segment = dgram_control_read(&h->msg_hdr, q);
	if (ep->shares && dgram_judge_many(q))
		return 1; /* a copy */
	q->bound = bound_to(&ep->address, q);
	do {
		q->data = at;
		size = segment > 0 && segment < rest ? segment : rest;
		q->size = size;
		consider(d, ep->fd, q);
		at += size;
		rest -= size;
		n++;
	} while (rest > 0);
	return n;
}

/* How many to receive next, after a batch whose largest had LARGEST bytes. */
static void set_limit(struct dgram *d, size_t largest)
{
	size_t limit = largest > 0 ? CACHED / largest : d->batch;

	if (limit > 2 * (size_t)d->limit)
		limit = 2 * (size_t)d->limit;
	d->limit = limit > d->batch ? d->batch : (unsigned)limit;
}

size_t dgram_answer(struct dgram *d, size_t i, size_t max)
{
	const struct endpoint *ep = &d->executor->endpoints[i];
	unsigned n, asked;
	size_t total = 0;

	d->local = &ep->address;
	do {
		size_t largest = 0;

		asked = d->limit;
		n = receive(d, ep->fd);
		dgram_guard_begin(&d->judge.guard);
		for (unsigned k = 0; k < n; k++) {
			if (d->headers[k].msg_len > largest)
				largest = d->headers[k].msg_len;
			total += open_place(d, ep, k);
		}
		dgram_out_send(&d->out, ep->fd);
		if (n > 0)
			set_limit(d, largest);
	} while (n == asked && total < max);
	return total;
}

void dgram_finish(struct dgram *d)
{
	enum { BATCH = 64, BATCHES = 64 };

	for (size_t i = 0; i < d->executor->worker->n_endpoints; i++)
		for (int n = 0; n < BATCHES && !d->executor->leaving; n++)
			if (dgram_answer(d, i, BATCH) < BATCH)
				break;
}
