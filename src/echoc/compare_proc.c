/* SPDX-License-Identifier: ISC */
/* The account of a server: the scheduler's own, in nanoseconds, of each process that lives and
 * of the threads that it had; and of the children that it has waited for, in ticks, which is
 * all that the kernel keeps of them. */
#include "compare_proc.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { PROCESSES_MAX = 65536 };
#define NS 1000000000LL

/* The clock of a process: clock_getcpuclockid(3), without its check. */
static int64_t clock_of(pid_t pid)
{
	clockid_t clock = (clockid_t)(~(unsigned)pid << 3 | 2);
	struct timespec t;

	return clock_gettime(clock, &t) < 0 ? 0 : t.tv_sec * NS + t.tv_nsec;
}

/* What /proc/PID/stat tells of one process. */
struct stat_line {
	pid_t pid, parent;
	long long children_ticks, threads;
};

static bool read_stat(const char *pid, struct stat_line *s)
{
	char path[64], line[1024], *p;
	long long user, system;
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	n = fread(line, 1, sizeof(line) - 1, f);
	fclose(f);
	line[n] = '\0';
	p = strrchr(line, ')'); /* a name may hold anything */
	if (!p)
		return false;
	s->pid = (pid_t)atoi(pid);
	/* Behind the name: state, parent; 12 more; cutime, cstime; two; threads: proc(5). */
	if (sscanf(p + 1,
		   " %*c %d %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %lld %lld %*s %*s "
		   "%lld",
		   &s->parent, &user, &system, &s->threads) != 4)
		return false;
	s->children_ticks = user + system;
	return true;
}

/* The proportional share of the process in memory. */
static int64_t memory_of(pid_t pid)
{
	char path[64], line[128];
	long long kilobytes = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "Pss: %lld kB", &kilobytes) == 1)
			break;
	fclose(f);
	return kilobytes * 1024;
}

static void add_process(const struct stat_line *s, struct compare_proc *out)
{
	out->cpu += clock_of(s->pid) + s->children_ticks * (NS / sysconf(_SC_CLK_TCK));
	out->memory += memory_of(s->pid);
	out->processes++;
	out->threads += s->threads;
}

/* All processes there are, into LIST.  Returns their number. */
static size_t read_all(struct stat_line *list)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	size_t n = 0;

	while (dir && (entry = readdir(dir)) && n < PROCESSES_MAX)
		if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9' &&
		    read_stat(entry->d_name, &list[n]))
			n++;
	if (dir)
		closedir(dir);
	return n;
}

/* Take the children of what is in the tree already, until there are none. */
static void read_tree(pid_t root, struct compare_proc *out)
{
	struct stat_line *list = malloc(PROCESSES_MAX * sizeof(*list));
	bool *in = calloc(PROCESSES_MAX, sizeof(*in)), more = true;
	size_t n = list && in ? read_all(list) : 0;

	while (more) {
		more = false;
		for (size_t i = 0; i < n; i++) {
			bool take = list[i].pid == root;

			for (size_t k = 0; k < n && !take && !in[i]; k++)
				take = in[k] && list[k].pid == list[i].parent;
			if (!take || in[i])
				continue;
			in[i] = more = true;
			add_process(&list[i], out);
		}
	}
	free(list);
	free(in);
}

static void read_machine(struct compare_proc *out)
{
	long long user, nice, system, idle, wait, irq, soft, switches = 0;
	int64_t tick = NS / sysconf(_SC_CLK_TCK);
	FILE *f = fopen("/proc/stat", "re");
	struct rusage own;
	char line[4096];

	if (!f)
		return;
	if (fgets(line, sizeof(line), f) &&
	    sscanf(line, "cpu %lld %lld %lld %lld %lld %lld %lld", &user, &nice, &system, &idle,
		   &wait, &irq, &soft) == 7)
		out->system = (user + nice + system + irq + soft) * tick;
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "ctxt %lld", &switches) == 1)
			break;
	fclose(f);
	getrusage(RUSAGE_SELF, &own);
	out->switches = switches - own.ru_nvcsw - own.ru_nivcsw;
}

void compare_proc_read(pid_t root, struct compare_proc *out)
{
	*out = (struct compare_proc){.cpu = 0};
	if (root > 0)
		read_tree(root, out);
	read_machine(out);
}
