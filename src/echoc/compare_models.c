/* SPDX-License-Identifier: ISC */
/* Starting and ending echod.  Each is the leader of a session of its own, so that Ctrl-C goes
 * to us alone and all of a server can be ended; and the kernel ends it should we be killed. */
#include "compare_models.h"

#include "engine.h"
#include "exits.h"
#include "model.h"
#include "moment.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum {
	PORT_FIRST = 20000, /* below those that connect(2) takes */
	PORT_END = 32000,
	MAX_ARGUMENTS = 24,
	READY_TIME = 10, /* s */
	STOP_TIME = 5,   /* s */
	SPARE = 64,      /* connections beyond those of the load */
	LOG_MAX = 8192,  /* bytes of a server's first words */
	TRIES = 5        /* ports, if someone takes one first */
};

const char *compare_models_find(const char *path, char *buf, size_t size)
{
	static const char *const places[] = {"/usr/sbin/echod", "/usr/local/sbin/echod",
					     "/usr/bin/echod"};
	ssize_t n;
	char *slash;

	if (path)
		return access(path, X_OK) == 0 ? path : NULL;
	n = readlink("/proc/self/exe", buf, size - 1);
	if (n > 0) {
		buf[n] = '\0';
		slash = strrchr(buf, '/');
		snprintf(slash + 1, size - (size_t)(slash + 1 - buf), "echod");
		if (access(buf, X_OK) == 0)
			return buf;
		*slash = '\0'; /* PREFIX/bin: then it is in PREFIX/sbin */
		snprintf(buf + strlen(buf), size - strlen(buf), "/../sbin/echod");
		if (access(buf, X_OK) == 0)
			return buf;
	}
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (access(places[i], X_OK) == 0)
			return places[i];
	return NULL;
}

/* A port of 127.0.0.1 that nobody has. */
static int free_port(const struct sock_conf *sock, struct address *to)
{
	int type = protocols[sock->protocol].type;

	*to = (struct address){.len = sizeof(to->in)};
	to->in.sin_family = AF_INET;
	to->in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (int tries = 0; tries < PORT_END - PORT_FIRST; tries++) {
		int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), r;

		to->in.sin_port = htons(
			(uint16_t)(PORT_FIRST + arc4random_uniform(PORT_END - PORT_FIRST)));
		r = fd < 0 ? -1 : bind(fd, &to->sa, to->len);
		if (fd >= 0)
			close(fd);
		if (r == 0)
			return 0;
	}
	return -EADDRINUSE;
}

/* The child of PARENT becomes echod; what it says goes to LOG.  If the parent is gone already
 * it does not: nothing would tell it to end. */
static void become(const char *argv[], int log, pid_t parent)
{
	sigset_t none;

	setsid();
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(EXIT_FAILURE);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	dup2(open("/dev/null", O_RDONLY | O_CLOEXEC), STDIN_FILENO);
	dup2(log, STDOUT_FILENO);
	dup2(log, STDERR_FILENO);
	execv(argv[0], (char **)argv);
	dprintf(STDERR_FILENO, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static pid_t spawn(const struct compare_models *m, const struct model *model,
		   const struct engine *engine, const struct contender *s, int log)
{
	char listen[ADDRESS_TEXT_MAX + 16], workers[24], clients[48], text[ADDRESS_TEXT_MAX];
	const struct load_conf *load = &s->load;
	int64_t n = m->workers                         ? m->workers
		    : strcmp(engine->name, "blocking") ? 0
						       : load->connections;
	const char *argv[MAX_ARGUMENTS] = {
		m->echod,           "--listen",   listen, "--model",           model->name,
		"--engine",         engine->name, "-o",   "log.target=stderr", "-o",
		"log.level=notice", "-o",         clients};
	int argc = 13;
	pid_t pid, parent = getpid();

	snprintf(listen, sizeof(listen), "%s:%s", protocols[load->sock.protocol].name,
		 address_format(&load->to, text));
	snprintf(clients, sizeof(clients), "services[0].max_clients=%" PRId64,
		 load->connections + SPARE < 1024 ? 1024 : load->connections + SPARE);
	snprintf(workers, sizeof(workers), "%" PRId64, n);
	if (n > 0 && (model->many_processes || model->many_threads)) {
		argv[argc++] = "--workers";
		argv[argc++] = workers;
	}
	pid = fork();
	if (pid == 0)
		become(argv, log, parent);
	return pid < 0 ? -errno : pid;
}

/* What a server has said so far.  Returns its length. */
static size_t read_log(int log, char *text, size_t size)
{
	ssize_t n = pread(log, text, size - 1, 0);

	text[n > 0 ? n : 0] = '\0';
	return n > 0 ? (size_t)n : 0;
}

/* What it said before it died, its last line. */
static void tell_death(const struct contender *s, int log, int r)
{
	char text[LOG_MAX], *line;
	size_t n = read_log(log, text, sizeof(text));

	while (n > 0 && text[n - 1] == '\n')
		text[--n] = '\0';
	line = strrchr(text, '\n');
	exits_say(EXITS_SYSTEM, "compare", "echod %s %s: %s", s->name,
		  r == -ENOTSUP ? "is left out" : "does not run", line ? line + 1 : text);
}

/* Wait for it to say that it is ready: an answer might be another's, who has the port.
 * Returns 0, -EADDRINUSE if that is so, -ENOTSUP if the pair cannot be had on this machine, or
 * -ECHILD. */
static int wait_ready(struct contender *s, int log)
{
	int64_t deadline = moment_now() + READY_TIME * (int64_t)MOMENT_S;
	siginfo_t info = {.si_pid = 0};
	char text[LOG_MAX];

	while (moment_now() < deadline) {
		if (waitid(P_PID, (id_t)s->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
		    info.si_pid != 0)
			break;
		if (read_log(log, text, sizeof(text)) > 0 && strstr(text, " ready: "))
			return 0;
		moment_poll(-1, 0, moment_now() + 10 * MOMENT_MS);
	}
	read_log(log, text, sizeof(text));
	if (strstr(text, strerror(EADDRINUSE)))
		return -EADDRINUSE;
	return info.si_code == CLD_EXITED && info.si_status == EX_CONFIG ? -ENOTSUP : -ECHILD;
}

/* What of the load this pair can serve at once. */
static void fit(const struct model *model, const struct engine *engine, struct contender *s)
{
	bool one = !model->many_processes && !model->many_threads && !model->per_client &&
		   strcmp(engine->name, "blocking") == 0;

	if (!one || s->load.connect_each || !protocols[s->load.sock.protocol].stream)
		return;
	s->load.connections = s->load.threads = 1;
	s->note = "1 connection: it serves one at a time";
}

/* End it, and all of its session. */
static void end(struct contender *s)
{
	kill(-s->pid, SIGKILL); /* while it is a zombie this is nobody else's number */
	kill(s->pid, SIGKILL);
	waitpid(s->pid, NULL, 0);
	s->pid = 0;
}

/* One attempt.  Returns 0 with a server that is ready, or -errno. */
static int try_start(const struct compare_models *m, struct contender *s, const struct model *model,
		     const struct engine *engine, int log)
{
	int r = free_port(&s->load.sock, &s->load.to);

	if (r == 0)
		r = spawn(m, model, engine, s, log);
	if (r < 0)
		return r;
	s->pid = r;
	r = wait_ready(s, log);
	if (r < 0)
		end(s);
	return r;
}

static int start(const struct compare_models *m, struct comparison *c, const struct model *model,
		 const struct engine *engine)
{
	struct contender *s = &c->server[c->n];
	int log = memfd_create("echod", MFD_CLOEXEC), r = -EADDRINUSE;

	s->load = m->load;
	snprintf(s->name, sizeof(s->name), "%s/%s", model->name, engine->name);
	fit(model, engine, s);
	for (int i = 0; i < TRIES && r == -EADDRINUSE && log >= 0; i++) {
		if (ftruncate(log, 0) == 0 && lseek(log, 0, SEEK_SET) == 0)
			r = try_start(m, s, model, engine, log);
	}
	if (r == 0)
		c->n++;
	else
		tell_death(s, log, r);
	if (log >= 0)
		close(log);
	return r;
}

/* Has someone asked us to end?  The signals are blocked, and wait. */
static bool impatient(void)
{
	sigset_t pending;

	sigpending(&pending);
	return sigismember(&pending, SIGINT) || sigismember(&pending, SIGTERM);
}

int compare_models_start(const struct compare_models *m, struct comparison *c)
{
	bool stream = protocols[m->load.sock.protocol].stream;
	unsigned others = c->n;
	int r;

	for (size_t i = 0; models[i]; i++) {
		for (size_t k = 0; engines[k]; k++) {
			if (!engine_fits(engines[k], models[i]) ||
			    (models[i]->per_client && !stream) || c->n == COMPARE_MAX)
				continue;
			r = start(m, c, models[i], engines[k]);
			if (r < 0 && r != -ENOTSUP)
				return r;
			if (impatient())
				return -EINTR;
		}
	}
	return c->n > others ? 0 : -ENOTSUP;
}

void compare_models_stop(struct comparison *c)
{
	int64_t deadline;

	for (unsigned i = 0; i < c->n; i++)
		if (c->server[i].pid > 0)
			kill(c->server[i].pid, SIGTERM);
	deadline = moment_now() + STOP_TIME * (int64_t)MOMENT_S;
	for (unsigned i = 0; i < c->n; i++) {
		pid_t pid = c->server[i].pid;
		siginfo_t info = {.si_pid = 0};

		while (pid > 0 && info.si_pid == 0 && moment_now() < deadline) {
			if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0)
				break;
			if (info.si_pid == 0)
				moment_poll(-1, 0, moment_now() + 5 * MOMENT_MS);
		}
		if (pid > 0)
			end(&c->server[i]);
	}
}
