/* SPDX-License-Identifier: ISC */
/* What a daemon is started with: lines of LISTEN_FDS, LISTEN_PID (an empty one is ours) and
 * LISTEN_FDNAMES, of NOTIFY_SOCKET and WATCHDOG_USEC, then a byte for each descriptor. */
#include "fuzz.h"

#include "log.h"
#include "manager.h"
#include "notify.h"
#include "passed.h"
#include "protocol.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FIRST = 3, MOST = 8 };

static int make(unsigned kind)
{
	static const struct {
		int family, type;
	} kinds[] = {{AF_INET, SOCK_STREAM}, {AF_INET6, SOCK_DGRAM}, {AF_UNIX, SOCK_DGRAM},
		     {AF_UNIX, SOCK_STREAM}, {AF_INET, SOCK_DGRAM},  {AF_UNIX, SOCK_SEQPACKET}};
	struct sockaddr_storage any = {.ss_family = (sa_family_t)kinds[kind % 6].family};
	int fd = socket(kinds[kind % 6].family, kinds[kind % 6].type, 0);

	if (fd < 0)
		return open("/dev/null", O_RDWR);
	if (kind & 0x40)
		bind(fd, (struct sockaddr *)&any,
		     any.ss_family == AF_UNIX ? sizeof(sa_family_t) : sizeof(any));
	if (kind & 0x80)
		listen(fd, 1);
	return fd;
}

static void set(const char *name, const char *value)
{
	if (value)
		setenv(name, value, 1);
	else
		unsetenv(name);
}

static void look_at(struct passed *p)
{
	struct address a = {.len = sizeof(a.in), .in = {.sin_family = AF_INET}};
	char text[300];

	PROMISE(strlen(passed_describe(p, text, sizeof(text))) < sizeof(text));
	for (int protocol = 0; protocol < N_PROTOCOLS; protocol++) {
		passed_find(p, protocol, &a, true);
		for (struct passed_socket *at = NULL; (at = passed_next(p, at, "a", protocol));)
			PROMISE(at->protocol == protocol && !at->unfit);
	}
	for (size_t i = 0; i < p->n; i++)
		for (const char *c = p->socket[i].name; *c; c++)
			PROMISE(*c >= ' ' && *c != 0x7f);
}

static void tell_manager(void)
{
	struct manager m;
	int r = manager_open(&m);

	PROMISE(!getenv("NOTIFY_SOCKET") && (r == 0 || !notify_wanted(&m.notify)));
	PROMISE(m.period == 0 || notify_wanted(&m.notify));
	manager_reloading(&m);
	manager_status(&m, "a line\nand another");
	manager_ready(&m);
	PROMISE(manager_beat(&m, 1000) > 1000);
	manager_stopping(&m);
	manager_close(&m);
}

/* A path may be somebody's. */
static bool harmless(const char *address)
{
	return !address || *address != '/' || strncmp(address, "/nonexistent/", 13) == 0;
}

static void take_sockets(const uint8_t *kinds, size_t n)
{
	struct passed p;

	for (int i = 0; i < MOST; i++) {
		int fd = make(i < (int)n ? kinds[i] : 0);

		if (fd == FIRST + i)
			continue;
		PROMISE(dup2(fd, FIRST + i) >= 0);
		close(fd);
	}
	passed_take(&p);
	PROMISE(!getenv("LISTEN_FDS") && !getenv("LISTEN_PID") && !getenv("LISTEN_FDNAMES"));
	look_at(&p);
	passed_close(&p);
	for (int i = 0; i < MOST; i++)
		close(FIRST + i);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES",
					    "NOTIFY_SOCKET", "WATCHDOG_USEC"};
	char *text = fuzz_text(data, size), *rest = text, pid[16];

	log_set_level(-1);
	unsetenv("WATCHDOG_PID");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		set(names[i], strsep(&rest, "\n"));
	snprintf(pid, sizeof(pid), "%d", getpid());
	if (getenv("LISTEN_PID") && !*getenv("LISTEN_PID"))
		set("LISTEN_PID", pid);
	if (!harmless(getenv("NOTIFY_SOCKET")))
		unsetenv("NOTIFY_SOCKET");
	tell_manager();
	take_sockets((const uint8_t *)rest, rest ? strlen(rest) : 0);
	free(text);
	return 0;
}
