/* SPDX-License-Identifier: ISC */
/* A send that fails is dropped and counted: to wait for one peer would be to let it delay all
 * the others.  sendmmsg(2) stops at the first that fails and says so only when it is tried
 * again, as the first: then it is left out and the next are sent.
 *
 * That several answers go as one saves a way through the kernel for each.  It may be refused,
 * where a single one would not: they are larger than the path takes in one piece, or the way
 * out computes no checksums.  So whatever is refused as one is sent singly, and a while passes
 * until it is tried again. */
#include "dgram_out.h"

#include "dgram_control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	SEGMENTS = 64,      /* UDP_MAX_SEGMENTS of kernels before 6.10 */
	BURST_MOST = 65507, /* bytes of data in one IPv4 packet, cut or not */
	ALONE_MOST = 1472,  /* what came singly is joined up to the data of an Ethernet frame */
	APART = 1024        /* bursts for which a refusal is remembered */
};

/* One answer, or several of one size, the last of which may be shorter. */
struct letter {
	const struct question *to;
	size_t segment; /* bytes of the first */
	size_t size;    /* bytes of all */
	unsigned n;     /* how many */
	_Alignas(struct cmsghdr) char control[DGRAM_CONTROL_OUT];
};

int dgram_out_init(struct dgram_out *o, struct stats *stats, unsigned max, bool join)
{
	*o = (struct dgram_out){.stats = stats, .answered = C_ECHOES, .max = max, .join = join};
	o->headers = calloc(max, sizeof(*o->headers));
	o->letters = calloc(max, sizeof(*o->letters));
	o->pieces = calloc(max, sizeof(*o->pieces));
	if (o->headers && o->letters && o->pieces)
		return 0;
	dgram_out_deinit(o);
	return -ENOMEM;
}

void dgram_out_deinit(struct dgram_out *o)
{
	free(o->headers);
	free(o->letters);
	free(o->pieces);
	*o = (struct dgram_out){.n = 0};
}

/* Do the answers to A and B go the same way? */
static bool same_way(const struct question *a, const struct question *b)
{
	return a == b || (a->from.len == b->from.len && a->to.len == b->to.len &&
			  a->ifindex == b->ifindex && a->spec_dst.s_addr == b->spec_dst.s_addr &&
			  memcmp(&a->from.sa, &b->from.sa, a->from.len) == 0 &&
			  memcmp(&a->to.sa, &b->to.sa, a->to.len) == 0);
}

/* Can the latest letter take SIZE bytes at DATA for Q too?  ADJACENT: they came with its own. */
static bool fits(const struct dgram_out *o, const struct question *q, size_t size, bool adjacent)
{
	const struct letter *l = &o->letters[o->n - 1];

	return o->join && o->apart == 0 && size > 0 && size <= l->segment && l->n < SEGMENTS &&
	       l->size == l->n * l->segment && l->size + size <= BURST_MOST &&
	       (adjacent || l->segment <= ALONE_MOST) && q->to.len > 0 && same_way(l->to, q);
}

static void add_piece(struct dgram_out *o, struct msghdr *h, char *data, size_t size)
{
	o->pieces[o->n_pieces++] = (struct iovec){.iov_base = data, .iov_len = size};
	h->msg_iovlen++;
}

static void join(struct dgram_out *o, char *data, size_t size, bool adjacent)
{
	struct letter *l = &o->letters[o->n - 1];
	struct msghdr *h = &o->headers[o->n - 1].msg_hdr;

	if (adjacent)
		o->pieces[o->n_pieces - 1].iov_len += size;
	else
		add_piece(o, h, data, size);
	if (l->n == 1)
		dgram_control_write(l->to, (uint16_t)l->segment, h);
	l->size += size;
	l->n++;
}

void dgram_out_add(struct dgram_out *o, int fd, const struct question *q, char *data, size_t size)
{
	struct msghdr *h;
	struct letter *l;

	if (o->n_pieces == o->max)
		dgram_out_send(o, fd);
	if (o->n > 0) {
		const struct iovec *last = &o->pieces[o->n_pieces - 1];
		bool adjacent = (char *)last->iov_base + last->iov_len == data;

		if (fits(o, q, size, adjacent)) {
			join(o, data, size, adjacent);
			return;
		}
	}
	l = &o->letters[o->n];
	h = &o->headers[o->n++].msg_hdr;
	l->to = q;
	l->segment = l->size = size;
	l->n = 1;
	*h = (struct msghdr){
		.msg_name = (void *)&q->from.sa,
		.msg_namelen = q->from.len,
		.msg_iov = &o->pieces[o->n_pieces],
		.msg_control = l->control,
	};
	dgram_control_write(q, 0, h);
	add_piece(o, h, data, size);
}

static void count(struct dgram_out *o, unsigned n, size_t size)
{
	stats_add(o->stats, C_DATAGRAMS_OUT, n);
	stats_add(o->stats, C_BYTES_OUT, size);
	stats_add(o->stats, o->answered, n);
}

/* One datagram of those that H was to send as one. */
static void send_one(struct dgram_out *o, int fd, const struct msghdr *h, struct iovec piece)
{
	struct msghdr one = *h;
	ssize_t n;

	one.msg_iov = &piece;
	one.msg_iovlen = 1;
	do
		n = sendmsg(fd, &one, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		stats_add(o->stats, C_DROPPED_SEND, 1);
	else
		count(o, 1, piece.iov_len);
}

/* The letter L as the single datagrams that it stands for.  Each of its pieces is whole ones. */
static void send_apart(struct dgram_out *o, int fd, struct letter *l, struct msghdr *h)
{
	dgram_control_write(l->to, 0, h);
	for (size_t i = 0; i < h->msg_iovlen; i++) {
		struct iovec rest = h->msg_iov[i];

		while (rest.iov_len > 0) {
			struct iovec piece = rest;

			if (piece.iov_len > l->segment)
				piece.iov_len = l->segment;
			send_one(o, fd, h, piece);
			rest.iov_base = (char *)rest.iov_base + piece.iov_len;
			rest.iov_len -= piece.iov_len;
		}
	}
}

/* Letter I cannot be sent. */
static void give_up(struct dgram_out *o, int fd, unsigned i, int error)
{
	struct letter *l = &o->letters[i];

	if (l->n == 1) {
		stats_add(o->stats, C_DROPPED_SEND, 1);
		return;
	}
	if (error != EAGAIN && error != ENOBUFS && error != ENOMEM)
		o->apart = APART;
	send_apart(o, fd, l, &o->headers[i].msg_hdr);
}

void dgram_out_send(struct dgram_out *o, int fd)
{
	unsigned done = 0;

	if (o->apart > 0)
		o->apart--;
	while (done < o->n) {
		int n = sendmmsg(fd, o->headers + done, o->n - done, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			give_up(o, fd, done++, errno);
		for (; n > 0; n--, done++)
			count(o, o->letters[done].n, o->letters[done].size);
	}
	o->n = o->n_pieces = 0;
}
