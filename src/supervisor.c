/* SPDX-License-Identifier: ISC */
/* The supervisor's loop, by sd-event(3): signals, children, who is up, and time.  After
 * every event it looks once over its crews: starts what is due, cuts off what is overdue,
 * forgets what is gone. */
#include "supervisor.h"

#include "conf.h"
#include "control.h"
#include "daemon.h"
#include "handshakes.h"
#include "listener.h"
#include "log.h"
#include "logger.h"
#include "own.h"
#include "process.h"
#include "reload.h"
#include "setup.h"
#include "timer.h"
#include "totals.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <systemd/sd-event.h>
#include <unistd.h>

enum {
	CHECK = 1000,   /* ms between the regular looks at the workers' beats */
	ONE_STOP = 100, /* ms: signals closer than that are one request: timeout(1) sends
			    * one to the child and one to its group */
	LAST_CALL = 50, /* ms from the order to drain until listeners are shut: whoever has
			    * connected before is taken by a worker that has time */
	LAG = 5         /* ms: timer_now() is as exact as a tick, the alarm more so */
};

/* The supervisor and its loop. */
struct run {
	struct supervisor s;
	struct logger logger;
	sd_event *event;
	sd_event_source *alarm; /* the next deadline of any crew */
	int hello[2];
	uint64_t stop_at;  /* ms, when it was first told to stop */
	uint64_t check_at; /* ms */
};

static void stop(struct run *run, uint64_t now)
{
	if (run->s.stopping && now - run->stop_at < ONE_STOP)
		return;
	if (run->s.stopping) {
		log_event(EVENT_STOPPING_AT_ONCE);
		for (struct crew *c = run->s.crews; c; c = c->next)
			crew_cut(c, now);
		return;
	}
	log_event(EVENT_STOPPING);
	run->s.stopping = true;
	run->stop_at = now;
	run->s.reload.wanted = false;
	manager_stopping(&run->s.manager);
	reload_expire(&run->s, now, true);
	for (struct crew *c = run->s.crews; c; c = c->next)
		crew_drain(c, now, run->s.conf->shutdown_timeout);
}

static void shut_listeners(struct supervisor *s)
{
	while (s->listeners) {
		struct listener *l = s->listeners;

		s->listeners = l->next;
		listener_shut(l);
	}
}

static void ended(struct run *run, const siginfo_t *who, uint64_t now)
{
	int status = who->si_code == CLD_EXITED ? who->si_status << 8 : who->si_status & 0x7f;

	for (struct crew *c = run->s.crews; c; c = c->next)
		crew_ended(c, who->si_pid, status, now);
	logger_ended(&run->logger, who->si_pid, status);
	waitpid(who->si_pid, NULL, 0);
}

/* Look before reaping: while a process is a zombie its pid is nobody else's, and what it
 * held can be freed by that name. */
static void look_after_children(struct run *run, uint64_t now)
{
	siginfo_t who = {.si_pid = 0};

	while (waitid(P_ALL, 0, &who, WEXITED | WSTOPPED | WCONTINUED | WNOHANG | WNOWAIT) == 0 &&
	       who.si_pid > 0) {
		if (who.si_code == CLD_STOPPED || who.si_code == CLD_CONTINUED) {
			for (struct crew *c = run->s.crews; c; c = c->next)
				crew_stopped(c, who.si_pid, who.si_code == CLD_STOPPED, now);
			waitid(P_PID, (id_t)who.si_pid, &who, WSTOPPED | WCONTINUED | WNOHANG);
		} else {
			ended(run, &who, now);
		}
		who.si_pid = 0;
	}
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *si, void *arg)
{
	struct run *run = arg;

	(void)source;
	switch ((int)si->ssi_signo) {
	case SIGHUP:
		reload_request(&run->s, NULL, NULL);
		break;
	case SIGUSR1:
		totals_log(&run->s);
		break;
	case SIGCHLD:
		look_after_children(run, timer_now());
		break;
	default:
		stop(run, timer_now());
	}
	return 0;
}

static int on_hello(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct run *run = arg;
	pid_t pid;

	(void)source;
	(void)events;
	while (read(fd, &pid, sizeof(pid)) == sizeof(pid))
		for (struct crew *c = run->s.crews; c; c = c->next)
			crew_up(c, pid);
	return 0;
}

/* The line of systemctl status. */
static void tell_status(struct supervisor *s)
{
	char line[120], text[sizeof(s->manager.status)];

	snprintf(text, sizeof(text), "%s%s%s%s", s->stopping ? "stopping: " : "",
		 rates_line(s, line, sizeof(line)),
		 s->reload.why[0] ? "; the last reload failed: " : "", s->reload.why);
	manager_status(&s->manager, text);
}

static int on_alarm(sd_event_source *source, uint64_t usec, void *arg)
{
	struct run *run = arg;
	uint64_t now = timer_now();

	(void)source;
	(void)usec;
	if (now < run->check_at)
		return 0;
	run->check_at = now + CHECK;
	for (struct crew *c = run->s.crews; c; c = c->next)
		crew_check(c, now);
	totals_tell_crowds(&run->s);
	rates_look(&run->s, now);
	control_check(run->s.control, now);
	reload_expire(&run->s, now, false);
	if (run->s.stopping)
		manager_draining(&run->s.manager);
	if (run->s.ready)
		tell_status(&run->s);
	if (logger_restart(&run->logger) < 0)
		run->check_at = now + CHECK; /* again at the next look; records wait */
	return 0;
}

/* Say once that everybody serves: the new workers do, and the old ones take no more clients. */
static void tell_if_ready(struct run *run, uint64_t now)
{
	size_t listeners = 0, workers = 0;

	if (run->s.ready || run->s.stopping)
		return;
	for (const struct crew *c = run->s.crews; c; c = c->next) {
		if (!(c->draining ? crew_is_deaf(c, now) : crew_is_up(c)))
			return;
		workers += c->draining ? 0 : c->n_members;
	}
	for (const struct listener *l = run->s.listeners; l; l = l->next)
		listeners += l->share == 0;
	run->s.ready = true;
	log_event(EVENT_READY, F_NUMBER(SERVICES, run->s.conf->n_services),
		  F_NUMBER(LISTENERS, listeners), F_NUMBER(WORKERS, workers));
	tell_status(&run->s);
	manager_ready(&run->s.manager);
	daemon_ready(run->s.daemon);
	reload_serves(&run->s);
}

/* One look over all crews.  Returns when the next is due. */
static uint64_t look_over(struct run *run, uint64_t now)
{
	uint64_t beat = manager_beat(&run->s.manager, now);
	uint64_t when = beat < run->check_at ? beat : run->check_at;

	if (run->s.stopping && now - run->stop_at >= LAST_CALL)
		shut_listeners(&run->s);
	else if (run->s.stopping && run->stop_at + LAST_CALL < when)
		when = run->stop_at + LAST_CALL;
	for (struct crew **at = &run->s.crews; *at;) {
		struct crew *c = *at;

		crew_start(c, now);
		crew_expire(c, now);
		if (crew_is_gone(c)) {
			*at = c->next;
			totals_retire(&run->s, c);
			crew_free(c);
			continue;
		}
		if (crew_deadline(c) < when)
			when = crew_deadline(c);
		if (!run->s.ready && c->draining && !crew_is_deaf(c, now))
			when = now; /* it says so in memory only: look again soon */
		at = &c->next;
	}
	return when;
}

static void reload(struct run *run)
{
	if (!reload_now(&run->s, timer_now())) {
		tell_status(&run->s);
		return;
	}
	run->s.ready = false;
	logger_set_target(&run->logger, run->s.conf->log.target);
}

/* Runs after every other event. */
static int on_post(sd_event_source *source, void *arg)
{
	struct run *run = arg;
	uint64_t now, when;

	(void)source;
	if (reload_due(&run->s))
		reload(run);
	now = timer_now();
	when = look_over(run, now);
	tell_if_ready(run, now);
	if (run->s.stopping && !run->s.crews) {
		shut_listeners(&run->s);
		return sd_event_exit(run->event, EX_OK);
	}
	sd_event_source_set_time(run->alarm, (when + LAG) * 1000);
	return sd_event_source_set_enabled(run->alarm, SD_EVENT_ONESHOT);
}

static int watch_signals(struct run *run)
{
	static const int signals[] = {SIGHUP, SIGTERM, SIGINT, SIGUSR1, SIGCHLD};
	static const int ignored[] = {SIGUSR2, SIGPIPE};
	sigset_t set;
	int r = 0;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(&set, signals[i]);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
	signal(SIGCHLD, SIG_DFL); /* who started us may ignore it: then none would be a zombie */
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]) && r >= 0; i++)
		r = sd_event_add_signal(run->event, NULL, signals[i], on_signal, run);
	return r;
}

static int watch_all(struct run *run)
{
	int r = sd_event_new(&run->event);

	if (r >= 0)
		r = watch_signals(run);
	if (r >= 0 && pipe2(run->hello, O_CLOEXEC | O_NONBLOCK) < 0)
		r = -errno;
	if (r >= 0)
		r = sd_event_add_io(run->event, NULL, run->hello[0], EPOLLIN, on_hello, run);
	if (r >= 0)
		r = sd_event_add_time(run->event, &run->alarm, CLOCK_MONOTONIC, 0, 1000, on_alarm,
				      run);
	if (r >= 0)
		r = sd_event_add_post(run->event, NULL, on_post, run);
	return r;
}

/* What all crews will be given. */
static int prepare(struct run *run)
{
	struct supervisor *s = &run->s;
	char *shared = mmap(NULL, sizeof(*s->own) + handshakes_size(), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int r;

	if (shared == MAP_FAILED)
		return -errno;
	s->own = (struct own *)(void *)shared;
	s->env.own = s->own;
	s->env.handshakes = (struct handshakes *)(void *)(shared + sizeof(*s->own));
	s->env.hello = run->hello[1];
	r = siphash_random_key(&s->env.key);
	if (r < 0)
		return r;
	s->control = control_new(s, run->event);
	return s->control ? 0 : -ENOMEM;
}

/* Everything up to the first workers.  On failure the reasons are logged. */
static int start(struct run *run, struct conf *conf)
{
	struct problems problems = {.n = 0};
	int r = watch_all(run), told;

	if (r >= 0)
		r = conf->sandbox == SANDBOX_OFF ? 0 : sandbox_find(&run->s.env.sandbox);
	if (r >= 0)
		r = logger_start(&run->logger, conf->log.target,
				 conf->sandbox == SANDBOX_OFF ? NULL : &run->s.env.sandbox);
	told = manager_open(&run->s.manager);
	if (told < 0)
		log_warn("NOTIFY_SOCKET: %s: systemd is not told anything", strerror(-told));
	if (r >= 0)
		r = prepare(run);
	if (r >= 0)
		r = setup_apply(&run->s, conf, &problems);
	for (size_t i = 0; i < problems.n; i++)
		log_problem(problems.line[i]);
	if (r < 0) {
		log_event(EVENT_CANNOT_START, F_NUMBER(ERRNO, -r));
		manager_status(&run->s.manager, problems.n > 0 ? problems.line[0] : strerror(-r));
	}
	problems_clear(&problems);
	return r;
}

static int exit_code(int r)
{
	if (r == -EBADFD) /* what was passed is not what the configuration says */
		return EX_CONFIG;
	return r == -EACCES || r == -EPERM ? EX_NOPERM : EX_OSERR;
}

static void finish(struct run *run)
{
	reload_expire(&run->s, 0, true);
	manager_close(&run->s.manager);
	control_free(run->s.control);
	rates_clear(&run->s.rates);
	totals_clear(&run->s);
	conf_free(run->s.conf);
	sd_event_source_unref(run->alarm);
	sd_event_unref(run->event);
	logger_stop(&run->logger);
}

int supervisor_run(struct conf *conf, const struct conf_source *source, struct daemon *daemon,
		   struct passed *passed)
{
	struct run run = {.s = {.source = source, .daemon = daemon, .passed = passed}};
	int r;

	process_title("supervisor");
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	log_set_level(conf->log.level);
	r = start(&run, conf);
	if (r < 0) {
		conf_free(conf);
		finish(&run);
		return exit_code(r);
	}
	run.check_at = timer_now() + CHECK;
	r = sd_event_loop(run.event);
	log_event(EVENT_STOPPED);
	finish(&run);
	return r < 0 ? EX_OSERR : r;
}
