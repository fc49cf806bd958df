/* SPDX-License-Identifier: ISC */
/* Plots of a comparison: tables and a script for gnuplot(1), which stay beside what it draws,
 * so that anyone can draw it otherwise. */
#include "compare.h"

#include "exits.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* DIR/NAME for writing. */
static FILE *create(const char *dir, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return fopen(path, "we");
}

/* Close F; returns 0 or -errno of anything that went wrong with it. */
static int done(FILE *f)
{
	bool bad;

	if (!f)
		return -errno;
	bad = ferror(f) != 0;
	return fclose(f) != 0 || bad ? -EIO : 0;
}

/* A row for each server, the fastest first. */
static int write_rates(const struct comparison *c, const char *dir)
{
	unsigned order[COMPARE_MAX];
	FILE *f = create(dir, "rate.dat");

	compare_report_order(c, order);
	if (f)
		fputs("# server  rate/s  server CPU us  machine CPU us\n", f);
	for (unsigned i = 0; i < c->n && f; i++) {
		const struct contender *s = &c->server[order[i]];

		fprintf(f, "\"%s\" %.1f %.3f %.3f\n", s->name, s->median[METRIC_RATE],
			s->median[METRIC_CPU], s->median[METRIC_SYSTEM]);
	}
	return done(f);
}

/* A block for each server: 1/(1-share), us. */
static int write_latencies(const struct comparison *c, const char *dir)
{
	unsigned order[COMPARE_MAX];
	FILE *f = create(dir, "latency.dat");

	compare_report_order(c, order);
	for (unsigned i = 0; i < c->n && f; i++) {
		const struct contender *s = &c->server[order[i]];
		double last = s->latency->total ? (double)s->latency->total : 1, x = 1;

		fprintf(f, "# %s\n", s->name);
		while (x <= last) {
			fprintf(f, "%.6g %.3f\n", x,
				(double)hist_percentile(s->latency, 100 - 100 / x) / 1e3);
			x *= 1.1;
		}
		fputs("\n\n", f);
	}
	return done(f);
}

static const char script[] =
	"# gnuplot plot.gp: draws rate.svg, rate.png, latency.svg and latency.png\n"
	"set encoding utf8\n"
	"colours = '#3b6ea5 #d1793a #4f9d69 #b04a5a #7a64a8 #8c6d46 #c45ba0 #6b7280'\n"
	"do for [kind in 'svg png'] {\n"
	"  if (kind eq 'svg') { set terminal svg size 900,560 font 'sans,13' background 'white' }\n"
	"  else { set terminal pngcairo size 900,560 font 'sans,11' }\n"
	"  reset\n"
	"  set output 'rate.'.kind\n"
	"  set title 'Echoes a second (median of the rounds)'\n"
	"  set style fill solid 0.85 border -1\n"
	"  set boxwidth 0.7\n"
	"  set yrange [0:*]\n"
	"  set grid ytics\n"
	"  set format y '%.0s%c'\n"
	"  set xtics rotate by -25 noenhanced\n"
	"  unset key\n"
	"  plot 'rate.dat' using 0:2:xtic(1) with boxes lc rgb '#3b6ea5', \\\n"
	"       '' using 0:2:(sprintf('%.0f', $2)) with labels offset 0,0.7\n"
	"  reset\n"
	"  set output 'latency.'.kind\n"
	"  set title 'Latency up to each percentile (all rounds)'\n"
	"  set logscale x 10\n"
	"  set logscale y 10\n"
	"  set grid\n"
	"  set key outside right top noenhanced\n"
	"  set ylabel 'microseconds'\n"
	"  set xlabel 'percentile'\n"
	"  set xtics ('0' 1, '50' 2, '90' 10, '99' 100, '99.9' 1e3, '99.99' 1e4, '99.999' 1e5, "
	"'99.9999' 1e6)\n"
	"  plot for [i=0:N-1] 'latency.dat' index i using 1:2 with lines lw 2 \\\n"
	"       lc rgb word(colours, i % words(colours) + 1) dt i / words(colours) + 1 \\\n"
	"       title word(names, i + 1)\n"
	"  set output\n"
	"}\n";

static int write_script(const struct comparison *c, const char *dir)
{
	unsigned order[COMPARE_MAX];
	FILE *f = create(dir, "plot.gp");

	compare_report_order(c, order);
	if (f) {
		fprintf(f, "N = %u\nnames = '", c->n);
		for (unsigned i = 0; i < c->n; i++)
			fprintf(f, "%s\"%s\"", i ? " " : "", c->server[order[i]].name);
		fprintf(f, "'\n%s", script);
	}
	return done(f);
}

/* Run gnuplot in DIR.  Returns its exit code, or -errno if there is none. */
static int draw(const char *dir)
{
	const char *argv[] = {"gnuplot", "plot.gp", NULL};
	posix_spawn_file_actions_t actions;
	int status, error;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addchdir_np(&actions, dir);
	error = posix_spawnp(&pid, argv[0], &actions, NULL, (char **)argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (error)
		return -error;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int compare_plot(const struct comparison *c, const char *dir)
{
	int r = mkdir(dir, 0777) < 0 && errno != EEXIST ? -errno : 0;

	if (r == 0)
		r = write_rates(c, dir);
	if (r == 0)
		r = write_latencies(c, dir);
	if (r == 0)
		r = write_script(c, dir);
	if (r < 0)
		return (int)exits_say(EXITS_SYSTEM, "compare", "%s: %s", dir, strerror(-r));
	r = draw(dir);
	if (r == -ENOENT || r == 127)
		return (int)exits_say(EXITS_SYSTEM, "compare",
				      "gnuplot is not installed; run \"gnuplot plot.gp\" in %s "
				      "where it is",
				      dir);
	if (r != 0)
		return (int)exits_say(EXITS_SYSTEM, "compare", "gnuplot failed in %s", dir);
	return EXITS_OK;
}
