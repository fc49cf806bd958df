/* SPDX-License-Identifier: ISC */
/* The scripted kernel. */
#include "kernel.h"

#include "acceptor.h"

#include <errno.h>
#include <linux/sockios.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cmocka.h>

struct kernel k;
struct slots *slots;
static struct slots slots_table;
struct stats stats;
struct service_conf service;
struct executor ex;
struct conn c;
static struct worker worker;
static const struct log_conf log_conf = {.connections = false};

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
	*value = request == SIOCINQ ? (int)k.in : k.unacked;
	return 0;
}

int setup(void **state)
{
	struct client client = {.fd = FD};
	uint32_t hint = 0;

	(void)state;
	memset(&k, 0, offsetof(struct kernel, output));
	memset(&stats, 0, sizeof(stats));
	slots = &slots_table;
	slots_init(slots, memset(aligned_alloc(64, slots_size(4)), 0, slots_size(4)), 4, -1);
	slots_claim(slots, 1, &hint);
	service = (struct service_conf){
		.name = (char *)"test",
		.buffer = BUFFER,
		.idle_timeout = 300000,
		.write_timeout = 60000,
	};
	worker = (struct worker){.conf = &service,
				 .log = &log_conf,
				 .slots = slots,
				 .stats = &stats};
	ex = (struct executor){.worker = &worker, .stats = &stats, .wide = true, .now = 5000000};
	conn_open(&c, &ex, &client);
	return 0;
}

int teardown(void **state)
{
	(void)state;
	free(c.held);
	c.held = NULL;
	executor_deinit(&ex);
	free(slots->shared);
	return 0;
}
