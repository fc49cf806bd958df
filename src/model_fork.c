/* SPDX-License-Identifier: ISC */
/* A process per client: accept, fork; the child echoes and exits; the parent closes the
 * client's socket, and reaps its children as they end, so that no zombie stays.
 *
 * When no child can be made, the client in hand is kept and the others stay in the backlog
 * until one can; a parent that is to drain, and has no child whose end could make room, serves
 * it by itself. */
#include "models.h"

#include "acceptor.h"
#include "conf.h"
#include "executor.h"
#include "log.h"
#include "placement.h"
#include "process.h"
#include "sandbox.h"
#include "sandbox_calls.h"
#include "slots.h"
#include "stats.h"
#include "worker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

enum { RETRY = 100 /* ms between attempts to fork */ };

/* The one process that accepts. */
struct parent {
	struct executor ex;
	struct acceptor acceptor;
	int sigchld;       /* signalfd(2) */
	unsigned children; /* that have not been reaped */
	unsigned made;     /* children, ever */
};

/* The sandbox has ended a client's process. */
static void tell_of_call(struct parent *p, pid_t pid)
{
	const char *service = p->ex.worker->conf->name;
	char what[100];

	snprintf(what, sizeof(what), "service=%s client's process", service);
	sandbox_log_end(&p->ex.worker->stats[1].forbidden, service, what, pid);
}

/* A client's process was killed: maybe when its slot was free and before it could ring. */
static void killed(struct parent *p, const siginfo_t *who)
{
	if (who->si_status == SIGSYS)
		tell_of_call(p, who->si_pid);
	slots_ring(p->ex.worker->slots);
}

/* Reap whoever has ended.  A slot that a child still had was lost with it: free it before
 * the pid can be anybody else's. */
static void reap(struct parent *p)
{
	struct slots *slots = p->ex.worker->slots;
	struct signalfd_siginfo note;
	siginfo_t who = {.si_pid = 0};

	while (read(p->sigchld, &note, sizeof(note)) > 0)
		;
	while (waitid(P_ALL, 0, &who, WEXITED | WNOHANG | WNOWAIT) == 0 && who.si_pid > 0) {
		unsigned lost = slots_free_owner(slots, who.si_pid);

		if (lost > 0)
			stats_add(p->ex.stats, C_CLOSED_KILLED, lost);
		if (who.si_code != CLD_EXITED)
			killed(p, &who);
		waitid(P_PID, (id_t)who.si_pid, &who, WEXITED);
		p->children--;
		who.si_pid = 0;
	}
}

/* A client's process has less to do than who made it.  If it cannot be held to that, it does
 * not serve. */
static void shut_in(struct executor *ex)
{
	struct worker *w = ex->worker;
	int r = sandbox_enter_client(&w->filters->client, &ex->stats->forbidden);

	if (r == 0)
		return;
	errno = -r;
	log_repeated(LOG_ERR, "service=%s a client's process cannot enter the sandbox: %m",
		     w->conf->name);
	_exit(EXIT_FAILURE);
}

static _Noreturn void child(struct parent *p, const struct client *client, pid_t parent)
{
	struct worker *w = p->ex.worker;
	int keep[] = {client->fd, w->leash, w->slots->bell, log_sink()};
	struct executor ex;

	process_keep_only(keep, sizeof(keep) / sizeof(keep[0]));
	if (!slots_give(w->slots, client->slot, parent, getpid()))
		_exit(EXIT_FAILURE); /* our parent is dead and its slots are others' by now */
	process_wake_with_parents_death();
	process_title("%s fork client", w->conf->name);
	executor_init(&ex, w, 1);
	placement_pin(w->conf, p->made);
	shut_in(&ex);
	w->conf->engine->echo(&ex, client);
	_exit(EXIT_SUCCESS);
}

/* fork(2), again and again until there is a child, or we are to leave, or to drain and there
 * is nobody left whose end could make room. */
static pid_t fork_patiently(struct parent *p)
{
	pid_t pid;

	while ((pid = fork()) < 0 && !p->ex.leaving && !(p->ex.draining && p->children == 0)) {
		stats_add(p->ex.stats, C_SPAWN_FAILED, 1);
		log_event(EVENT_ACCEPT_PAUSED, F_TEXT(SERVICE, p->ex.worker->conf->name),
			  F_TEXT(WHAT, "fork"), F_NUMBER(ERRNO, errno));
		executor_wait(&p->ex, p->sigchld, POLLIN, p->ex.now + RETRY);
		reap(p);
	}
	return pid;
}

static void hand_over(struct parent *p, const struct client *client)
{
	pid_t me = getpid(), pid = fork_patiently(p);

	if (pid == 0)
		child(p, client, me);
	if (pid > 0) {
		p->children++;
		p->made++;
		slots_give(p->ex.worker->slots, client->slot, me, pid);
		executor_close(&p->ex, client->fd); /* the last, if the child was quick */
	} else {
		p->ex.worker->conf->engine->echo(&p->ex, client);
	}
	acceptor_left(&p->acceptor);
}

static void serve(struct parent *p)
{
	struct client client;
	enum accepted what;

	executor_up(&p->ex);
	while ((what = acceptor_wait(&p->acceptor, &client)) != ACCEPT_STOP) {
		if (what == ACCEPT_CLIENT)
			hand_over(p, &client);
		else
			reap(p);
	}
	executor_deaf(&p->ex);
	while (p->children > 0 && !p->ex.leaving) {
		executor_wait(&p->ex, p->sigchld, POLLIN, UINT64_MAX);
		reap(p);
	}
}

static int fork_run(struct worker *w)
{
	struct parent p = {.children = 0};
	sigset_t chld;
	int r;

	executor_init(&p.ex, w, 0);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	p.sigchld = signalfd(-1, &chld, SFD_NONBLOCK | SFD_CLOEXEC);
	if (p.sigchld < 0)
		return -errno;
	r = acceptor_init(&p.acceptor, &p.ex);
	if (r == 0)
		r = acceptor_watch(&p.acceptor, p.sigchld);
	if (r == 0)
		serve(&p);
	return r;
}

const struct model model_fork = {
	.name = "fork",
	.text = "a process for each client",
	.per_client = true,
	.own_descriptors = true,
	.calls = CALLS_FORK,
	.run = fork_run,
};
