/* SPDX-License-Identifier: ISC */
/* A connection against a kernel that answers by script (the linker's --wrap): short reads
 * and writes, every errno, deadlines on a clock of the test's own. */
#include "conn.h"

#include "acceptor.h"
#include "conf.h"
#include "executor.h"
#include "slots.h"
#include "worker.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cmocka.h>

enum { FD = 1000, BUFFER = 65536 };

/* What the scripted kernel does and saw. */
static struct {
	const char *input;          /* bytes that the client sends */
	size_t in;                  /* how many are left */
	bool fin;                   /* and then its FIN */
	size_t chunk_in, chunk_out; /* the most per call */
	int recv_error, send_error; /* errno of the next call, once */
	bool blocked;               /* the client takes nothing */
	char output[1 << 20];
	size_t out;
	int unacked;
	bool shut, closed, reset;
} k;

static struct slots *slots;
static struct stats stats;
static struct service_conf service;
static struct worker worker;
static struct executor ex;
static struct conn c;

ssize_t __wrap_recv(int fd, void *buf, size_t n, int flags);
ssize_t __wrap_send(int fd, const void *buf, size_t n, int flags);
int __wrap_shutdown(int fd, int how);
int __wrap_close(int fd);
int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t size);
int __wrap_ioctl(int fd, unsigned long request, int *value);

static ssize_t fail_with(int *error)
{
	errno = *error;
	*error = 0;
	return -1;
}

ssize_t __wrap_recv(int fd, void *buf, size_t n, int flags)
{
	assert_int_equal(fd, FD);
	assert_true(flags & MSG_DONTWAIT);
	if (k.recv_error)
		return fail_with(&k.recv_error);
	if (k.in == 0) {
		errno = EAGAIN;
		return k.fin ? 0 : -1;
	}
	n = n < k.in ? n : k.in;
	n = k.chunk_in && n > k.chunk_in ? k.chunk_in : n;
	memcpy(buf, k.input, n);
	k.input += n;
	k.in -= n;
	return (ssize_t)n;
}

ssize_t __wrap_send(int fd, const void *buf, size_t n, int flags)
{
	assert_int_equal(fd, FD);
	assert_true(flags & MSG_NOSIGNAL);
	assert_false(k.shut);
	if (k.send_error)
		return fail_with(&k.send_error);
	if (k.blocked) {
		errno = EAGAIN;
		return -1;
	}
	n = k.chunk_out && n > k.chunk_out ? k.chunk_out : n;
	assert_true(k.out + n <= sizeof(k.output));
	memcpy(k.output + k.out, buf, n);
	k.out += n;
	return (ssize_t)n;
}

int __wrap_shutdown(int fd, int how)
{
	assert_int_equal(fd, FD);
	assert_int_equal(how, SHUT_WR);
	k.shut = true;
	return 0;
}

int __wrap_close(int fd)
{
	if (fd == FD)
		k.closed = true;
	return 0;
}

int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t size)
{
	(void)fd;
	(void)size;
	if (level == SOL_SOCKET && option == SO_LINGER)
		k.reset = ((const struct linger *)value)->l_onoff != 0;
	return 0;
}

int __wrap_ioctl(int fd, unsigned long request, int *value)
{
	(void)fd;
	(void)request;
	*value = k.unacked;
	return 0;
}

static int setup(void **state)
{
	struct client client = {.fd = FD};
	uint32_t hint = 0;

	(void)state;
	memset(&k, 0, sizeof(k));
	memset(&stats, 0, sizeof(stats));
	slots = slots_init(calloc(1, slots_size(4)), 4, -1);
	slots_claim(slots, 1, &hint);
	service = (struct service_conf){
		.name = (char *)"test",
		.buffer = BUFFER,
		.idle_timeout = 300000,
		.write_timeout = 60000,
	};
	worker = (struct worker){.conf = &service, .slots = slots, .stats = &stats};
	ex = (struct executor){.worker = &worker, .stats = &stats, .now = 5000000};
	conn_open(&c, &ex, &client);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(c.held);
	c.held = NULL;
	executor_deinit(&ex);
	free(slots);
	return 0;
}

/* Step while there is something to do at once; what is wanted in the end. */
static enum conn_want steps(void)
{
	enum conn_want want = CONN_READ;

	for (int i = 0; i < 1000000; i++) {
		size_t before = k.in + k.out;

		want = conn_step(&c, &ex);
		if (want == CONN_CLOSED || (k.in + k.out == before && k.in == 0 && !k.fin))
			return want;
	}
	fail();
	return want;
}

static char *random_bytes(size_t n)
{
	char *p = malloc(n);

	assert_non_null(p);
	for (size_t i = 0; i < n; i++)
		p[i] = (char)rand();
	return p;
}

static void echoes_in_any_pieces(void **state)
{
	static const size_t pieces[] = {0, 1, 7, 1000, 40000};
	enum { N = 200000 };

	teardown(state);
	for (size_t i = 0; i < 5; i++)
		for (size_t o = 0; o < 5; o++) {
			char *bytes = random_bytes(N);

			setup(state);
			k.input = bytes;
			k.in = N;
			k.fin = true;
			k.chunk_in = pieces[i];
			k.chunk_out = pieces[o];
			assert_int_equal(steps(), CONN_CLOSED);
			assert_int_equal(k.out, N);
			assert_memory_equal(k.output, bytes, N);
			assert_int_equal(stats.value[C_BYTES_IN], N);
			assert_int_equal(stats.value[C_BYTES_OUT], N);
			assert_int_equal(stats.value[C_CLOSED_EOF], 1);
			assert_true(k.closed && !k.shut && !k.reset);
			assert_int_equal(slots_used(slots), 0);
			free(bytes);
			teardown(state);
		}
	setup(state);
}

static void holds_no_memory_while_nothing_waits(void **state)
{
	(void)state;
	k.input = "hello";
	k.in = 5;
	assert_int_equal(conn_step(&c, &ex), CONN_READ);
	assert_null(c.held);
}

static void reads_nothing_while_the_client_does_not(void **state)
{
	char *bytes = random_bytes(3 * BUFFER);

	(void)state;
	k.input = bytes;
	k.in = 3 * BUFFER;
	k.blocked = true;
	for (int i = 0; i < 10; i++)
		assert_int_equal(conn_step(&c, &ex), CONN_WRITE);
	assert_int_equal(k.in, 2 * BUFFER); /* one buffer and no more */
	k.blocked = false;
	k.fin = true;
	assert_int_equal(steps(), CONN_CLOSED);
	assert_int_equal(k.out, 3 * BUFFER);
	assert_memory_equal(k.output, bytes, 3 * BUFFER);
	free(bytes);
}

/* Every errno of recv(2) and send(2), and the reason it is counted under; 0 = none, the
 * connection goes on. */
static const struct {
	int error;
	enum counter reason;
} errors[] = {
	{EAGAIN, 0},
	{EINTR, 0},
	{ECONNRESET, C_CLOSED_RESET},
	{EPIPE, C_CLOSED_RESET},
	{ETIMEDOUT, C_CLOSED_RESET},
	{EHOSTUNREACH, C_CLOSED_RESET},
	{ENETUNREACH, C_CLOSED_RESET},
	{ENOTCONN, C_CLOSED_RESET},
	{ENOMEM, C_CLOSED_ERROR},
	{ENOBUFS, C_CLOSED_ERROR},
	{EIO, C_CLOSED_ERROR},
};

static void errors_end_it_or_do_not(void **state)
{
	teardown(state);
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		for (int sending = 0; sending < 2; sending++) {
			enum conn_want want;

			setup(state);
			k.input = "x";
			k.in = 1;
			*(sending ? &k.send_error : &k.recv_error) = errors[i].error;
			want = conn_step(&c, &ex);
			if (errors[i].reason) {
				assert_int_equal(want, CONN_CLOSED);
				assert_int_equal(stats.value[errors[i].reason], 1);
				assert_int_equal(slots_used(slots), 0);
			} else {
				assert_int_not_equal(want, CONN_CLOSED);
				k.fin = true;
				assert_int_equal(steps(), CONN_CLOSED);
				assert_int_equal(k.out, 1);
			}
			teardown(state);
		}
	setup(state);
}

static void idle_ends_with_fin_then_waits_for_the_clients(void **state)
{
	(void)state;
	assert_int_equal(conn_deadline(&c, &ex), ex.now + 300000);
	ex.now += 299999;
	assert_int_equal(conn_expire(&c, &ex), CONN_READ);
	assert_false(k.shut);
	ex.now += 1;
	assert_int_equal(conn_expire(&c, &ex), CONN_READ);
	assert_true(k.shut && !k.closed);
	k.input = "late";
	k.in = 4;
	assert_int_equal(conn_step(&c, &ex), CONN_READ); /* thrown away */
	k.fin = true;
	assert_int_equal(conn_step(&c, &ex), CONN_CLOSED);
	assert_int_equal(k.out, 0);
	assert_int_equal(stats.value[C_CLOSED_IDLE], 1);
	assert_false(k.reset);
}

static void any_byte_puts_off_the_idle_end(void **state)
{
	(void)state;
	ex.now += 200000;
	k.input = "x";
	k.in = 1;
	conn_step(&c, &ex);
	assert_int_equal(conn_deadline(&c, &ex), ex.now + 300000);
}

static void lingers_no_longer_than_it_must(void **state)
{
	(void)state;
	ex.now += 300000;
	conn_expire(&c, &ex);
	ex.now = conn_deadline(&c, &ex);
	assert_int_equal(conn_expire(&c, &ex), CONN_CLOSED);
	assert_int_equal(stats.value[C_CLOSED_IDLE], 1);
	assert_false(k.reset);
}

static void lingers_while_the_client_takes_what_was_sent(void **state)
{
	(void)state;
	ex.now += 300000;
	conn_expire(&c, &ex);
	for (k.unacked = 1000; k.unacked > 900; k.unacked--) {
		ex.now = conn_deadline(&c, &ex);
		assert_int_equal(conn_expire(&c, &ex), CONN_READ);
	}
	for (int i = 0; i < 59; i++) { /* stalled from here on: write_timeout */
		ex.now = conn_deadline(&c, &ex);
		assert_int_equal(conn_expire(&c, &ex), CONN_READ);
	}
	while (!k.closed) {
		ex.now = conn_deadline(&c, &ex);
		conn_expire(&c, &ex);
	}
	assert_true(k.reset);
}

static void a_reader_that_stalls_is_reset(void **state)
{
	(void)state;
	k.input = "x";
	k.in = 1;
	k.blocked = true;
	assert_int_equal(conn_step(&c, &ex), CONN_WRITE);
	assert_int_equal(conn_deadline(&c, &ex), ex.now + 60000);
	ex.now += 60000;
	assert_int_equal(conn_expire(&c, &ex), CONN_CLOSED);
	assert_true(k.reset);
	assert_int_equal(stats.value[C_CLOSED_WRITE_TIMEOUT], 1);
}

static void lifetime_lets_what_is_pending_out_first(void **state)
{
	(void)state;
	service.lifetime = 1000;
	k.input = "pending";
	k.in = 7;
	k.blocked = true;
	conn_step(&c, &ex);
	ex.now += 1000;
	assert_int_equal(conn_expire(&c, &ex), CONN_WRITE);
	assert_false(k.shut);
	k.blocked = false;
	assert_int_equal(conn_step(&c, &ex), CONN_READ);
	assert_true(k.shut);
	assert_memory_equal(k.output, "pending", 7);
	k.fin = true;
	assert_int_equal(conn_step(&c, &ex), CONN_CLOSED);
	assert_int_equal(stats.value[C_CLOSED_LIFETIME], 1);
}

static void without_timeouts_there_is_no_deadline(void **state)
{
	(void)state;
	service.idle_timeout = service.write_timeout = 0;
	assert_int_equal(conn_deadline(&c, &ex), UINT64_MAX);
}

static void a_draining_one_ends_when_it_is_quiet(void **state)
{
	(void)state;
	ex.now += 10000;
	ex.draining = true;
	ex.drain_since = ex.now;
	assert_int_equal(conn_deadline(&c, &ex), ex.now + 100);
	ex.now += 50;
	k.input = "in flight";
	k.in = 9;
	assert_int_equal(conn_step(&c, &ex), CONN_READ);
	ex.now += 50;
	assert_int_equal(conn_expire(&c, &ex), CONN_READ);
	assert_false(k.shut);
	ex.now += 50;
	conn_expire(&c, &ex);
	assert_true(k.shut);
	assert_memory_equal(k.output, "in flight", 9);
	k.fin = true;
	assert_int_equal(conn_step(&c, &ex), CONN_CLOSED);
	assert_int_equal(stats.value[C_CLOSED_DRAIN], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(echoes_in_any_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(holds_no_memory_while_nothing_waits, setup,
						teardown),
		cmocka_unit_test_setup_teardown(reads_nothing_while_the_client_does_not, setup,
						teardown),
		cmocka_unit_test_setup_teardown(errors_end_it_or_do_not, setup, teardown),
		cmocka_unit_test_setup_teardown(idle_ends_with_fin_then_waits_for_the_clients,
						setup, teardown),
		cmocka_unit_test_setup_teardown(any_byte_puts_off_the_idle_end, setup, teardown),
		cmocka_unit_test_setup_teardown(lingers_no_longer_than_it_must, setup, teardown),
		cmocka_unit_test_setup_teardown(lingers_while_the_client_takes_what_was_sent, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_reader_that_stalls_is_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(lifetime_lets_what_is_pending_out_first, setup,
						teardown),
		cmocka_unit_test_setup_teardown(without_timeouts_there_is_no_deadline, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_draining_one_ends_when_it_is_quiet, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
