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

enum { FIRST = 3, MOST = 8, KINDS = 6, KEPT = 900, VARIABLES = 5 };

static int make(unsigned kind, bool bound, bool listens)
{
	static const struct {
		int family, type;
	} kinds[KINDS] = {{AF_INET, SOCK_STREAM}, {AF_INET6, SOCK_DGRAM},
			  {AF_UNIX, SOCK_DGRAM},  {AF_UNIX, SOCK_STREAM},
			  {AF_INET, SOCK_DGRAM},  {AF_UNIX, SOCK_SEQPACKET}};
	struct sockaddr_storage any = {.ss_family = (sa_family_t)kinds[kind].family};
	int fd = socket(kinds[kind].family, kinds[kind].type, 0);

	if (fd < 0)
		return open("/dev/null", O_RDWR);
	if (bound)
		bind(fd, (struct sockaddr *)&any,
		     any.ss_family == AF_UNIX ? sizeof(sa_family_t) : sizeof(any));
	if (listens)
		listen(fd, 1);
	return fd;
}

/* A descriptor as WHAT says; one of each kind is kept, and given again. */
static int kept(unsigned what)
{
	static int all[KINDS][4];
	int *at = &all[what % KINDS][what >> 6 & 3];

	if (!*at) {
		int fd = make(what % KINDS, what & 0x40, what & 0x80);

		*at = fcntl(fd, F_DUPFD_CLOEXEC, KEPT);
		PROMISE(*at > 0);
		close(fd);
	}
	return *at;
}

static void look_at(struct passed *p)
{
	struct address a = {.len = sizeof(a.in), .in = {.sin_family = AF_INET}};
	char text[300];

	PROMISE(strlen(passed_describe(p, text, sizeof(text))) < sizeof(text));
	for (int protocol = 0; protocol < N_PROTOCOLS; protocol++) {
		passed_find(p, protocol, &a, true, "");
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

	for (int i = 0; i < MOST; i++)
		PROMISE(dup2(kept(i < (int)n ? kinds[i] : 0), FIRST + i) >= 0);
	passed_take(&p);
	PROMISE(!getenv("LISTEN_FDS") && !getenv("LISTEN_PID") && !getenv("LISTEN_FDNAMES"));
	look_at(&p);
	passed_close(&p);
	for (int i = 0; i < MOST; i++)
		close(FIRST + i);
}

/* An environment of the variables that the lines of *REST say: setenv(3) would keep each value
 * for ever. */
static void set_all(char **rest, char *line[], char *all[])
{
	static const char *const names[VARIABLES] = {"LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES",
						     "NOTIFY_SOCKET", "WATCHDOG_USEC"};
	size_t n = 0;

	for (size_t i = 0; i < VARIABLES; i++) {
		const char *value = strsep(rest, "\n");

		line[i] = NULL;
		if (!value || (i == 3 && !harmless(value)))
			continue;
		if (i == 1 && !*value)
			PROMISE(asprintf(&line[i], "%s=%d", names[i], getpid()) > 0);
		else
			PROMISE(asprintf(&line[i], "%s=%s", names[i], value) > 0);
		all[n++] = line[i];
	}
	all[n] = NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size), *rest = text;
	char *line[VARIABLES], *all[VARIABLES + 1], **before = environ;

	log_set_level(-1);
	set_all(&rest, line, all);
	environ = all;
	tell_manager();
	take_sockets((const uint8_t *)rest, rest ? strlen(rest) : 0);
	environ = before;
	for (size_t i = 0; i < VARIABLES; i++)
		free(line[i]);
	free(text);
	return 0;
}
