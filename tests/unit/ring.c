/* SPDX-License-Identifier: ISC */
/* The scripted ring. */
#include "ring.h"

#include "acceptor.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include <cmocka.h>

struct ring r;
struct flows flows;
struct acceptor acceptor;

void __wrap_uring_receive(struct uring *u, int fd, uint64_t tag);
void __wrap_uring_send(struct uring *u, int fd, const char *p, uint32_t n, uint64_t tag);
void __wrap_uring_poll(struct uring *u, int fd, uint32_t events, uint64_t tag);
void __wrap_uring_cancel(struct uring *u, uint64_t tag);
char *__wrap_uring_buffer(const struct uring *u, uint16_t id);
void __wrap_uring_give_back(struct uring *u, uint16_t id);
void __wrap_uring_more_buffers(struct uring *u);

static bool unusual(void)
{
	return (unsigned)rand() % 100 < r.chance;
}

void __wrap_uring_receive(struct uring *u, int fd, uint64_t tag)
{
	(void)u;
	assert_int_equal(fd, FD);
	assert_false(r.receiving || r.polling || k.closed);
	r.receiving = tag;
}

void __wrap_uring_send(struct uring *u, int fd, const char *p, uint32_t n, uint64_t tag)
{
	(void)u;
	assert_int_equal(fd, FD);
	assert_true(n > 0 && !k.closed);
	for (unsigned i = 0; i < r.n_asked; i++)
		assert_false(r.asked[i].send); /* one send at a time */
	r.asked[r.n_asked].tag = tag;
	r.asked[r.n_asked].p = p;
	r.asked[r.n_asked].n = n;
	r.asked[r.n_asked++].send = true;
}

void __wrap_uring_poll(struct uring *u, int fd, uint32_t events, uint64_t tag)
{
	(void)u;
	assert_int_equal(fd, FD);
	assert_true(events == EPOLLIN || events == EPOLLOUT);
	assert_false(r.receiving || r.polling || k.closed);
	r.polling = tag;
}

void __wrap_uring_cancel(struct uring *u, uint64_t tag)
{
	(void)u;
	r.asked[r.n_asked].tag = tag;
	r.asked[r.n_asked++].send = false;
}

char *__wrap_uring_buffer(const struct uring *u, uint16_t id)
{
	(void)u;
	assert_true(id < BUFFERS && r.taken[id]);
	return r.memory[id];
}

void __wrap_uring_give_back(struct uring *u, uint16_t id)
{
	(void)u;
	assert_true(id < BUFFERS && r.taken[id]);
	memset(r.memory[id], 0xee, SIZE); /* whoever reads it now reads somebody else's */
	r.taken[id] = false;
}

void __wrap_uring_more_buffers(struct uring *u)
{
	(void)u;
}

static void done(uint64_t tag, int res, uint32_t flags)
{
	assert_true(r.n_done < QUEUE);
	r.done[r.n_done++] = (struct completion){.tag = tag, .res = res, .flags = flags};
}

static void end_receive(int res)
{
	uint64_t tag = r.receiving;

	r.receiving = 0;
	done(tag, res, 0);
}

static int take_buffer(void)
{
	for (int i = 0; i < BUFFERS; i++) {
		int id = (i + rand()) % BUFFERS;

		if (!r.taken[id])
			return id;
	}
	return -1;
}

static int hard_error(void)
{
	static const int errors[] = {-ECONNRESET, -ETIMEDOUT, -ENOMEM};

	return errors[rand() % 3];
}

/* The receive has its turn: some buffers, or one of the ways to end. */
static void run_receive(void)
{
	unsigned most = r.multishot ? 1 + (unsigned)rand() % URING_BURST : 1;

	for (unsigned i = 0; i < most && r.receiving; i++) {
		size_t n = 1 + (unusual() ? (size_t)rand() % SIZE : SIZE - 1);
		bool more = r.multishot && !unusual();
		int id = take_buffer();

		if (k.in == 0) {
			if (k.fin)
				end_receive(0);
			return;
		}
		if (id < 0 || (unusual() && unusual())) {
			end_receive(id < 0 || unusual() ? -ENOBUFS : -EINTR);
			return;
		}
		if (r.errors && unusual() && unusual()) {
			end_receive(hard_error());
			return;
		}
		n = n < k.in ? n : k.in;
		memcpy(r.memory[id], k.input, n);
		r.taken[id] = true;
		k.input += n;
		k.in -= n;
		done(r.receiving, (int)n,
		     IORING_CQE_F_BUFFER | (uint32_t)id << IORING_CQE_BUFFER_SHIFT |
			     (more ? IORING_CQE_F_MORE : 0));
		if (!more)
			r.receiving = 0;
	}
}

static void run_send(unsigned i)
{
	uint32_t n = r.asked[i].n;

	if (unusual()) {
		static const int none[] = {-EAGAIN, -EINTR};

		if (r.errors && unusual()) {
			done(r.asked[i].tag, hard_error(), 0);
			return;
		}
		n = (uint32_t)rand() % n;
		if (n == 0 || unusual()) {
			done(r.asked[i].tag, none[rand() % 2], 0);
			return;
		}
	}
	assert_true(k.out + n <= sizeof(k.output));
	memcpy(k.output + k.out, r.asked[i].p, n);
	k.out += n;
	done(r.asked[i].tag, (int)n, 0);
}

static void run_cancel(uint64_t tag)
{
	if (tag == r.receiving)
		end_receive(-ECANCELED);
	if (tag == r.polling) {
		r.polling = 0;
		done(tag, -ECANCELED, 0);
	}
}

void ring_enter(void)
{
	struct entry *only;
	unsigned n;

	for (unsigned i = 0; i < r.n_asked; i++)
		if (r.asked[i].send)
			run_send(i);
		else
			run_cancel(r.asked[i].tag);
	r.n_asked = 0;
	if (r.receiving && rand() % 2)
		run_receive();
	if (r.polling && rand() % 2) {
		uint64_t tag = r.polling;

		r.polling = 0;
		done(tag, EPOLLIN, 0);
	}
	n = r.n_done;
	r.n_done = 0;
	for (unsigned i = 0; i < n; i++) {
		struct completion one = r.done[i];

		flow_complete(&flows, one.tag, one.res, one.flags);
		assert_int_equal(r.n_done, 0);
	}
	only = k.closed ? NULL : pool_first(&flows.pool);
	assert_true(!only || only->conn.echo.pending <= BUFFER);
}

void ring_begin(unsigned chance, bool multishot)
{
	static struct uring uring;

	setup(NULL);
	memset(&r, 0, offsetof(struct ring, memory));
	memset(&flows, 0, sizeof(flows));
	r.chance = chance;
	r.multishot = multishot;
	uring = (struct uring){.size = SIZE, .multishot = multishot};
	acceptor = (struct acceptor){.executor = &ex, .ep = -1, .open = 1};
	flows = (struct flows){.ex = &ex, .uring = &uring, .acceptor = &acceptor};
	wheel_init(&flows.wheel, ex.now);
	flow_open(&flows, &(struct client){.fd = FD});
}

void ring_end(void)
{
	for (int i = 0; i < BUFFERS; i++)
		assert_false(r.taken[i]);
	assert_false(r.receiving || r.polling);
	assert_int_equal(flows.wheel.count, 0);
	flow_deinit(&flows);
	teardown(NULL);
}
