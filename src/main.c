/* SPDX-License-Identifier: ISC */
/* echod - the echo service of RFC 862.  Start here; the data flows down this map:
 *
 *   main                   command line, configuration, supervisor
 *    cli                   options, --help, --check, --dump-config
 *    daemon                --daemon: away from the terminal; the pid file
 *    conf_*                the file: text, grammar, rows, rules; one const struct conf
 *    supervisor            signals, children, time
 *     reload, setup        put a configuration in force, or change nothing; claim: its sockets
 *     control_*            who asks on the control socket: varlink; rates, totals
 *     manager, notify      what systemd is told, and given to keep
 *     listener, making     sockets; passed: those that were there; sockopt_* options, a row each;
 *                          shares: a socket for each executor
 *     crew                 the workers of one service and the memory they share
 *      worker              from fork to model; process, capability: limits and privileges
 *       model_*            who runs: iterative, fork, thread, prefork, prethread
 *        executor          one process or thread that serves, and its waits; placement: where
 *         engine_*         how it serves: blocking, epoll, io_uring; pool, timer; flow, uring
 *          acceptor        takes clients, within limits; slots: who is connected
 *          conn            one connection: bytes, end; conn_time: deadlines; echo: what is next
 *          dgram           one datagram in, the same one out, or silence; dgram_judge: the rules
 *           stats          counters
 *           log, event     records for the logger process, an event a row
 *    logger, logger_sink_* that process: journal, syslog, standard error
 *
 * ARCHITECTURE.md says why. */
#include "cli.h"
#include "conf.h"
#include "daemon.h"
#include "memory.h"
#include "passed.h"
#include "process.h"
#include "supervisor.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sysexits.h>

/* Serve CONF, perhaps as a daemon, which shall find its files from every directory: paths of
 * sockets are absolute anyway. */
static int run(const struct cli *cli, struct conf *conf, struct passed *passed)
{
	struct daemon_plan plan = {.detach = cli->daemon, .pid_file = cli->pid_file};
	struct daemon daemon;
	int code;

	plan.keep_stderr = conf->log.target == LOG_TARGET_STDERR;
	if (!daemon_begin(&daemon, &plan, &code)) {
		conf_free(conf);
		return code;
	}
	code = supervisor_run(conf, &cli->source, &daemon, passed);
	daemon_end(&daemon, code);
	return code;
}

/* What else is open is a mistake of who started us, and would stay open as long as we live. */
static void close_others(const struct passed *passed)
{
	int *keep = calloc(passed->n + 1, sizeof(keep[0]));
	size_t n = 0;

	if (!keep)
		return;
	for (size_t i = 0; i < passed->n; i++)
		if (passed->socket[i].fd >= 0)
			keep[n++] = passed->socket[i].fd;
	process_keep_only(keep, n);
	free(keep);
}

/* Read the configuration and serve it.  What was passed comes first: later its numbers might
 * be those of other descriptors.  Who leaves whoever started it takes nothing along. */
static int serve(struct cli *cli)
{
	struct problems problems = {.n = 0};
	struct passed passed = {.n = 0};
	struct conf *conf;
	int code = EX_CONFIG;

	process_begin_signals();
	if (!cli->daemon)
		passed_take(&passed);
	conf = conf_load(&cli->source, &problems); /* which may be /dev/fd/N */
	close_others(&passed);
	cli_print_problems(&problems, stderr);
	if (problems.shortage)
		code = EX_OSERR;
	problems_clear(&problems);
	if (conf)
		code = run(cli, conf, &passed);
	passed_close(&passed);
	return code;
}
int main(int argc, char *argv[])
{
	struct cli cli;
	int code;

	memory_begin();
	process_open_standard(O_RDWR);
	process_title_init(argc, argv);
	if (cli_parse(argc, argv, &cli) == CLI_RUN)
		code = serve(&cli);
	else
		code = cli_act(&cli);
	cli_clear(&cli);
	return code;
}
