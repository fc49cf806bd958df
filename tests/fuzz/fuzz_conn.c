/* SPDX-License-Identifier: ISC */
/* One connection and a kernel that answers as the input says: short, late, never, or with an
 * error.  What comes out is what went in, from its beginning, and all of it where the client
 * ended well; nothing is sent after FIN; the end comes, and once. */
#include "fuzz.h"

#include "acceptor.h"
#include "conf.h"
#include "conn.h"
#include "executor.h"
#include "log.h"
#include "slots.h"
#include "stats.h"
#include "worker.h"

#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum { FD = 1000, BUFFER = 4096, LONGEST = 1 << 16 };

/* What the client sends, and what the kernel does next. */
static struct {
	const uint8_t *script;
	size_t left;
	size_t sent, got; /* bytes of the stream, to the daemon and back */
	bool fin, shut, reset;
	unsigned closed;
} k;

static uint8_t next(void)
{
	if (k.left == 0)
		return 0;
	k.left--;
	return *k.script++;
}

ssize_t __wrap_recv(int fd, void *buf, size_t n, int flags);
ssize_t __wrap_send(int fd, const void *buf, size_t n, int flags);
int __wrap_shutdown(int fd, int how);
int __wrap_close(int fd);
int __wrap_setsockopt(int fd, int level, int option, const void *value, socklen_t size);
int __wrap_ioctl(int fd, unsigned long request, int *value);

static ssize_t error(int number)
{
	errno = number;
	return -1;
}

/* What a transfer of at most N bytes does: a byte of the script. */
static ssize_t transfer(size_t n)
{
	uint8_t what = k.left > 0 ? next() : 7; /* at the end all goes well */

	switch (what & 7) {
	case 0:
		return error(EAGAIN);
	case 1:
		return error(EINTR);
	case 2:
		return what & 8 ? error(what & 16 ? ECONNRESET : ENOMEM) : error(EAGAIN);
	case 3:
		return n < 7 ? (ssize_t)n : 1 + what % 7;
	default:
		return (ssize_t)n;
	}
}

ssize_t __wrap_recv(int fd, void *buf, size_t n, int flags)
{
	ssize_t r;

	PROMISE(fd == FD && k.closed == 0 && flags & MSG_DONTWAIT);
	if (k.fin)
		return 0;
	if (k.left == 0 || k.sent >= LONGEST || next() == 0xff) {
		k.fin = true;
		return 0;
	}
	r = transfer(n);
	if (r > 0) {
		memcpy(buf, fuzz_stream() + k.sent, (size_t)r);
		k.sent += (size_t)r;
	}
	return r;
}

ssize_t __wrap_send(int fd, const void *buf, size_t n, int flags)
{
	ssize_t r = transfer(n);

	PROMISE(fd == FD && k.closed == 0 && !k.shut && n > 0 && flags & MSG_NOSIGNAL);
	if (r > 0) {
		PROMISE(k.got + (size_t)r <= k.sent);
		PROMISE(memcmp(buf, fuzz_stream() + k.got, (size_t)r) == 0);
		k.got += (size_t)r;
	}
	return r;
}

int __wrap_shutdown(int fd, int how)
{
	PROMISE(fd == FD && how == SHUT_WR && !k.shut);
	k.shut = true;
	return next() == 1 ? (int)error(ENOTCONN) : 0;
}

int __wrap_close(int fd)
{
	if (fd == FD)
		k.closed++;
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
	*value = next() & 1;
	return 0;
}

static const struct log_conf quiet = {.connections = false};
static struct service_conf service = {.name = (char *)"fuzz", .buffer = BUFFER};
static struct stats stats;
static struct slots table, *slots;
static struct worker worker = {.conf = &service, .log = &quiet, .stats = &stats};

static void check_end(const struct conn *c)
{
	uint64_t sum[N_COUNTERS] = {0};

	stats_sum(sum, &stats);
	PROMISE(k.closed == 1 && !c->held);
	PROMISE(slots_used(slots) == 0);
	PROMISE(sum[C_BYTES_IN] >= k.got && sum[C_BYTES_OUT] == k.got);
	if (sum[C_CLOSED_EOF])
		PROMISE(k.got == k.sent && !k.reset);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct executor ex = {.worker = &worker, .stats = &stats, .now = 1000000};
	enum conn_want want = CONN_READ;
	struct client client = {.fd = FD};
	uint32_t hint = 0;
	struct conn c;

	if (size < 4)
		return 0;
	memset(&k, 0, sizeof(k));
	memset((void *)&stats, 0, sizeof(stats));
	k.script = data + 4;
	k.left = size - 4;
	if (!slots) {
		slots = &table;
		slots_init(slots, memset(aligned_alloc(64, slots_size(1)), 0, slots_size(1)), 1,
			   -1);
	}
	worker.slots = slots;
	ex.wide = data[3] & 1;
	PROMISE(slots_claim(slots, 1, &hint) == 0);
	service.idle_timeout = data[0] * 1000u;
	service.write_timeout = data[1] * 1000u;
	service.lifetime = data[2] * 10000u;
	conn_open(&c, &ex, &client);
	for (unsigned steps = 0; want != CONN_CLOSED; steps++) {
		uint64_t deadline = conn_deadline(&c, &ex);

		PROMISE(steps < 4 * LONGEST);
		if (next() < data[3] / 2 && deadline != UINT64_MAX) {
			ex.now = deadline > ex.now ? deadline : ex.now;
			want = conn_expire(&c, &ex);
		} else {
			ex.now++;
			want = conn_step(&c, &ex);
		}
		if (k.left == 0 && !ex.draining) {
			ex.draining = true;
			ex.drain_since = ex.now;
		}
		PROMISE(k.sent - k.got <= BUFFER || c.lingering || k.shut);
	}
	check_end(&c);
	executor_deinit(&ex);
	return 0;
}
