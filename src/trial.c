/* SPDX-License-Identifier: ISC */
/* Who may use an engine is the kernel's to say: io_uring, for one, is a matter of capabilities
 * (kernel.io_uring_disabled), of groups, of locked memory and of security modules.  So a child
 * becomes what a worker will be, looks, and tells by a pipe. */
#include "trial.h"

#include "conf.h"
#include "needs.h"
#include "placement.h"
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the child has found out. */
struct finding {
	int r;
	char text[ENGINE_TEXT_MAX];
};

/* Children have the processors that we may have. */
static int try_placement(const struct service_conf *service, struct problems *problems)
{
	char need[NEED_TEXT_MAX];
	unsigned cpu;
	int r = placement_try(service, &cpu);

	if (r == -EPERM)
		problems_add(problems, "service=%s cpus: %s", service->name,
			     need_format(NEEDS_SCHEDULING, need));
	else if (r < 0)
		problems_add(problems, "service=%s cpus: echod cannot run on processor %u",
			     service->name, cpu);
	return r;
}

/* Be a worker, and see whether ENGINE works. */
static void find_out(const struct engine *engine, const struct process_conf *process,
		     const struct identity *identity, struct finding *f)
{
	process_limit(process);
	f->r = process_drop_privileges(identity);
	if (f->r == 0)
		f->r = engine->probe(f->text, sizeof(f->text));
	else
		snprintf(f->text, sizeof(f->text), "%s", strerror(-f->r));
}

/* What a child finds out; nothing is wrong if there can be none. */
static struct finding send_child(const struct engine *engine, const struct process_conf *process,
				 const struct identity *identity)
{
	struct finding f = {.r = 0};
	int line[2];
	pid_t pid;

	if (pipe2(line, O_CLOEXEC) < 0)
		return f;
	pid = fork();
	if (pid == 0) {
		find_out(engine, process, identity, &f);
		_exit(write(line[1], &f, sizeof(f)) != sizeof(f));
	}
	close(line[1]);
	if (read(line[0], &f, sizeof(f)) != sizeof(f))
		f.r = 0;
	close(line[0]);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	return f;
}

/* "auto" takes another engine where it has to, in the worker too. */
static int try_engine(const struct conf *conf, const struct service_conf *service,
		      const struct identity *identity, bool reload, struct problems *problems)
{
	struct finding f;

	if (service->any_engine || !service->engine->probe)
		return 0;
	f = send_child(service->engine, &conf->process, identity);
	/* Workers that are to go hold memory still, for which those that come look again. */
	if (f.r == 0 || (f.r == -ENOMEM && reload))
		return 0;
	problems_add(problems, "service=%s engine: \"%s\" cannot be used by its workers: %s",
		     service->name, service->engine->name, f.text);
	return f.r;
}

int trial_of(const struct conf *conf, const struct service_conf *service,
	     const struct identity *identity, bool reload, struct problems *problems)
{
	int r = try_placement(service, problems);

	return r < 0 ? r : try_engine(conf, service, identity, reload, problems);
}
