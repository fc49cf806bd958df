/* SPDX-License-Identifier: ISC */
/* dgram.c - the datagrams of a load: each place is a socket with several of them out, of sizes
 * from 8 bytes to the largest.  What is out at once fits into every buffer on its way, so that
 * nothing may be lost; what comes must be one that is out, whole, and once. */
#define _GNU_SOURCE 1
#include "load.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	LARGEST_UDP = 65507,
	LARGEST_UNIX = 60000,
	HISTORY = 8192, /* datagrams of a socket that are remembered */
	BATCH = 16,
	WINDOW = 24,     /* of a socket */
	WINDOW_UNIX = 4, /* net.unix.max_dgram_qlen is 10 */
	BUDGET = 96000,  /* bytes of buffers that may be filled at once, by all sockets */
	OVERHEAD = 1500  /* bytes of them that a datagram costs beyond twice its size */
};
#define PATIENCE (10000ULL * MS)

enum fate { NONE, OUT, BACK, LOST };

struct datagram {
	uint32_t number;
	uint32_t size;
	uint64_t when; /* ns */
	enum fate fate;
};

struct place {
	int fd;
	uint64_t id;   /* 16 bits */
	uint32_t next; /* number, from 1 */
	unsigned out;
	uint32_t oldest; /* that may be out */
	struct datagram history[HISTORY];
};

static struct place *places;
static int64_t budget = BUDGET;
static unsigned n_out;
static _Alignas(8) char buffer[BATCH][65536 + 8];

static int64_t cost(uint32_t size)
{
	return OVERHEAD + 2 * (int64_t)size;
}

/* Word I of a datagram whose first is FIRST. */
static uint64_t word(uint64_t first, uint32_t i)
{
	return first + i;
}

static uint64_t first_word(const struct place *p, uint32_t number)
{
	return p->id << 48 | (uint64_t)number << 16;
}

static uint32_t pick_size(void)
{
	static const struct {
		uint32_t below, max; /* of 1000 */
	} sizes[] = {{600, 200}, {900, 1472}, {990, 9000}, {1000, LARGEST_UDP}};
	uint32_t dice = load_random(1000), max = 0;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]) && !max; i++)
		if (dice < sizes[i].below)
			max = sizes[i].max;
	if (load.family == AF_UNIX && max > LARGEST_UNIX)
		max = LARGEST_UNIX;
	return max > 9000 && load_random(2) ? max : 8 + load_random(max - 7);
}

static void settle(struct place *p, struct datagram *d, enum fate fate)
{
	d->fate = fate;
	p->out--;
	n_out--;
	budget += cost(d->size);
}

/* Write the next datagram of P into BUF.  Returns its size; 0: it must wait. */
static uint32_t make(struct place *p, char *buf, unsigned window)
{
	struct datagram *d = &p->history[p->next % HISTORY];
	uint32_t size = pick_size();

	if (p->out >= window || d->fate == OUT || (cost(size) > budget && n_out > 0))
		return 0;
	*d = (struct datagram){.number = p->next, .size = size, .when = load.now, .fate = OUT};
	for (uint32_t i = 0; i * 8 < size; i++)
		((uint64_t *)(void *)buf)[i] = word(first_word(p, p->next), i);
	budget -= cost(size);
	p->next++;
	p->out++;
	n_out++;
	return size;
}

/* The last N datagrams of P could not be sent: they never were. */
static void take_back(struct place *p, unsigned n)
{
	while (n-- > 0)
		settle(p, &p->history[--p->next % HISTORY], NONE);
}

static void send_batch(struct place *p)
{
	unsigned window = load.family == AF_UNIX ? WINDOW_UNIX : WINDOW, n = 0;
	struct mmsghdr batch[BATCH] = {0};
	struct iovec iov[BATCH];
	int r;

	while (n < BATCH && !load.stopping) {
		iov[n] = (struct iovec){buffer[n], make(p, buffer[n], window)};
		if (iov[n].iov_len == 0)
			break;
		batch[n].msg_hdr = (struct msghdr){.msg_iov = &iov[n], .msg_iovlen = 1};
		n++;
	}
	if (n == 0)
		return;
	r = sendmmsg(p->fd, batch, n, MSG_DONTWAIT);
	if (r < 0 && errno != EAGAIN)
		load_wrong(strerrorname_np(errno), p->id, n, 0);
	load.begun += r > 0 ? (unsigned)r : 0;
	take_back(p, n - (r > 0 ? (unsigned)r : 0));
}

/* One that came back: N bytes at BUF. */
static void take(struct place *p, const char *buf, uint32_t n)
{
	const uint64_t *words = (const uint64_t *)(const void *)buf;
	uint32_t number = (uint32_t)(words[0] >> 16);
	struct datagram *d = &p->history[number % HISTORY];
	uint64_t first = first_word(p, number);
	bool good = n >= 8 && d->number == number && d->size == n && d->fate != NONE;

	for (uint32_t i = 0; good && (i + 1) * 8 <= n; i++)
		good = words[i] == word(first, i);
	for (uint32_t i = n & ~7u; good && i < n; i++) {
		uint64_t last = word(first, i / 8);

		good = buf[i] == ((char *)&last)[i % 8];
	}
	if (!good || d->fate == BACK) {
		load_wrong(good ? "twice" : "datagram", first_word(p, d->number), words[0], n);
		exit(1);
	}
	load.bytes += n;
	if (d->fate == LOST) {
		load.late++;
		d->fate = BACK;
		return;
	}
	settle(p, d, BACK);
	load.done++;
}

static void receive_batch(struct place *p)
{
	struct mmsghdr batch[BATCH] = {0};
	struct iovec iov[BATCH];
	int r;

	for (int i = 0; i < BATCH; i++) {
		iov[i] = (struct iovec){buffer[i], sizeof(buffer[i])};
		batch[i].msg_hdr = (struct msghdr){.msg_iov = &iov[i], .msg_iovlen = 1};
	}
	r = recvmmsg(p->fd, batch, BATCH, MSG_DONTWAIT, NULL);
	if (r < 0 && errno != EAGAIN)
		load_wrong(strerrorname_np(errno), p->id, 0, 0);
	for (int i = 0; i < r; i++)
		take(p, buffer[i], batch[i].msg_len);
}

static void dgram_ready(void *at, uint32_t events)
{
	(void)events;
	receive_batch(at);
	send_batch(at);
}

static void give_up(struct place *p, struct datagram *d)
{
	settle(p, d, LOST);
	load.lost++;
	printf("lost %u datagram silence %" PRIu64 " %" PRIu64 " %u 0 0 0\n", d->number, d->when,
	       load.now, d->size);
}

static void dgram_tick(void)
{
	for (unsigned i = 0; i < load.places; i++) {
		struct place *p = &places[i];

		for (; p->oldest < p->next; p->oldest++) {
			struct datagram *d = &p->history[p->oldest % HISTORY];

			if (d->fate == OUT && load.now - d->when < PATIENCE)
				break;
			if (d->fate == OUT)
				give_up(p, d);
		}
		send_batch(p);
	}
}

static void open_place(struct place *p, unsigned i)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.ptr = p};
	sa_family_t own = AF_UNIX;

	p->id = load.number << 8 | i;
	p->next = p->oldest = 1;
	p->fd = socket(load.family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (p->fd < 0)
		load_die("socket");
	/* A name of the kernel's making, for the answer. */
	if (load.family == AF_UNIX && bind(p->fd, (struct sockaddr *)&own, sizeof(own)) < 0)
		load_die("bind");
	if (connect(p->fd, (struct sockaddr *)&load.to, load.to_len) < 0)
		load_die("connect");
	if (epoll_ctl(load.epoll_fd, EPOLL_CTL_ADD, p->fd, &ev) < 0)
		load_die("epoll_ctl");
}

static void dgram_start(void)
{
	places = calloc(load.places, sizeof(*places));
	if (!places)
		load_die("memory");
	for (unsigned i = 0; i < load.places; i++)
		open_place(&places[i], i);
}

static void dgram_reset_all(void)
{
}

static bool dgram_idle(void)
{
	return n_out == 0;
}

const struct half datagrams = {dgram_start, dgram_ready, dgram_tick, dgram_reset_all, dgram_idle};
