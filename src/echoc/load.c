/* SPDX-License-Identifier: ISC */
/* A load from its start to its result: threads are made, told when to begin, watched once a
 * second, and their counts are summed.  The caller's thread does nothing but this. */
#include "load.h"

#include "exits.h"
#include "load_conn.h"
#include "moment.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <unistd.h>

enum { LOOK = 10 * MOMENT_MS, HEADSTART = 5 * MOMENT_MS, SPARE_FDS = 32 };

const char *const load_failure_names[N_LOAD_FAILURES] = {
	[LOAD_REFUSED] = "refused", [LOAD_TIMEOUT] = "timeout", [LOAD_UNREACHABLE] = "unreachable",
	[LOAD_RESET] = "reset",     [LOAD_CLOSED] = "closed",   [LOAD_LOCAL] = "local",
};

/* A load that runs. */
struct run {
	const struct load_conf *conf;
	const struct load_watch *watch;
	struct load_result *result;
	struct load_shared shared;
	struct load_thread *threads;
	unsigned n_threads, n_running;
	struct load_message *messages;
	struct load_conn *conns;
	struct hist *now, *old, *since; /* the sum, as of the last interval, the difference */
	uint64_t trouble;               /* as of the last interval */
	int64_t next_interval;          /* ns */
};

/* As many descriptors as the connections need.  Returns 0 or -EMFILE. */
static int raise_limit(int64_t connections)
{
	struct rlimit limit;
	rlim_t need = (rlim_t)connections + SPARE_FDS;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	if (limit.rlim_cur >= need)
		return 0;
	if (limit.rlim_max < need)
		return -EMFILE;
	limit.rlim_cur = need;
	return setrlimit(RLIMIT_NOFILE, &limit) < 0 ? -errno : 0;
}

static int init_thread(struct run *r, unsigned i)
{
	struct load_thread *t = &r->threads[i];
	uint64_t all = (uint64_t)r->conf->connections, n = r->n_threads;
	uint64_t count = (uint64_t)r->conf->count;

	t->shared = &r->shared;
	t->conf = r->conf;
	t->stream = protocols[r->conf->sock.protocol].stream;
	t->open_loop = r->conf->rate > 0;
	t->connect_each = r->conf->connect_each;
	t->depth = (uint32_t)r->conf->depth;
	t->number = i;
	t->n_conns = (uint32_t)(all / n + (i < all % n));
	t->left = count ? count / n + (i < count % n) : UINT64_MAX;
	t->seed = 0x862 + i;
	t->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	t->latency = hist_new();
	t->connect = hist_new();
	t->lag = hist_new();
	t->raw = r->conf->raw ? raw_new() : NULL;
	t->in = malloc(LOAD_CHUNK + 16);
	t->out = malloc(LOAD_CHUNK + 16);
	if (t->epoll_fd < 0)
		return -errno;
	if (r->conf->raw && !t->raw)
		return -ENOMEM;
	return t->latency && t->connect && t->lag && t->in && t->out ? 0 : -ENOMEM;
}

static int init(struct run *r)
{
	uint64_t n = (uint64_t)r->conf->connections, ring = 1, at = 0;
	int error = 0;

	while (ring < (uint64_t)r->conf->depth)
		ring *= 2;
	r->shared = (struct load_shared){.conf = r->conf,
					 .ring_mask = (uint32_t)ring - 1,
					 .next_stream = 1,
					 .lock = PTHREAD_MUTEX_INITIALIZER};
	r->n_threads = (unsigned)r->conf->threads;
	r->threads = calloc(r->n_threads, sizeof(*r->threads));
	r->messages = calloc(n * ring, sizeof(*r->messages));
	r->conns = calloc(n, sizeof(*r->conns));
	r->now = hist_new();
	r->old = hist_new();
	r->since = hist_new();
	if (!r->threads || !r->messages || !r->conns || !r->now || !r->old || !r->since)
		return -ENOMEM;
	for (unsigned i = 0; i < r->n_threads && error == 0; i++) {
		struct load_thread *t = &r->threads[i];

		error = init_thread(r, i);
		t->conns = &r->conns[at];
		for (uint32_t k = 0; k < t->n_conns; k++, at++) {
			t->conns[k].fd = -1;
			t->conns[k].number = i + (uint64_t)k * r->n_threads;
			t->conns[k].ring = &r->messages[at * ring];
		}
	}
	return error;
}

static void deinit(struct run *r)
{
	for (unsigned i = 0; r->threads && i < r->n_threads; i++) {
		struct load_thread *t = &r->threads[i];

		if (t->epoll_fd > 0)
			close(t->epoll_fd);
		free(t->latency);
		free(t->connect);
		free(t->lag);
		raw_free(t->raw);
		free(t->in);
		free(t->out);
	}
	free(r->threads);
	free(r->messages);
	free(r->conns);
	free(r->now);
	free(r->old);
	free(r->since);
}

/* Wait until WHEN or for one of SIGNALS, which ends the load early. */
static void wait_until(struct run *r, const sigset_t *signals, int64_t when)
{
	int64_t left = when - moment_now();
	struct timespec t = {.tv_sec = 0};

	if (left > 0)
		t = (struct timespec){.tv_sec = left / MOMENT_S, .tv_nsec = left % MOMENT_S};
	if (sigtimedwait(signals, NULL, &t) > 0) {
		r->result->interrupted = true;
		atomic_store(&r->shared.stop, true);
	}
}

static void say_interval(struct run *r, int64_t now)
{
	uint64_t trouble = atomic_load(&r->shared.trouble);
	int64_t begin = atomic_load(&r->shared.begin);
	struct load_interval i = {.at = (double)(now - begin) / MOMENT_S};
	double length = 1 + (double)(now - r->next_interval) / MOMENT_S;

	memset(r->now, 0, sizeof(*r->now));
	for (unsigned k = 0; k < r->n_threads; k++)
		hist_gather(r->now, r->threads[k].latency);
	hist_since(r->now, r->old, r->since);
	i.rate = (double)r->since->total / length;
	i.p50 = hist_percentile(r->since, 50);
	i.p99 = hist_percentile(r->since, 99);
	i.failures = trouble - r->trouble;
	r->trouble = trouble;
	if (r->watch->interval)
		r->watch->interval(r->watch->data, &i);
	r->next_interval = now + MOMENT_S;
}

/* From the start of the threads to the end of what is measured. */
static void supervise(struct run *r, const sigset_t *signals)
{
	struct load_shared *all = &r->shared;
	int64_t begin, now;
	bool begun = false;

	while (atomic_load(&all->connected) < r->n_threads)
		wait_until(r, signals, moment_now() + MOMENT_MS);
	begin = moment_now() + HEADSTART;
	atomic_store(&all->begin, begin + r->conf->warmup);
	atomic_store(&all->end,
		     r->conf->duration ? begin + r->conf->warmup + r->conf->duration : INT64_MAX);
	atomic_store(&all->start, begin);
	begin += r->conf->warmup;
	r->next_interval = begin + MOMENT_S;
	while (atomic_load(&all->finished) < r->n_threads) {
		wait_until(r, signals, moment_now() + LOOK);
		now = moment_now();
		if (!begun && now >= begin) {
			begun = true;
			if (r->watch->begin)
				r->watch->begin(r->watch->data);
		}
		if (now >= r->next_interval)
			say_interval(r, now);
	}
	if (r->watch->end)
		r->watch->end(r->watch->data);
}

static void sum(struct load_counts *to, const struct load_counts *from)
{
	uint64_t *a = (uint64_t *)to;
	const uint64_t *b = (const uint64_t *)from;

	_Static_assert(sizeof(*to) % sizeof(uint64_t) == 0, "counts are all uint64_t");
	for (size_t i = 0; i < sizeof(*to) / sizeof(uint64_t); i++)
		a[i] += b[i];
}

static void gather(struct run *r)
{
	struct load_result *result = r->result;
	int64_t begin = atomic_load(&r->shared.begin), end = 0;

	for (unsigned i = 0; i < r->n_threads; i++) {
		struct load_thread *t = &r->threads[i];
		/* A count ends with its last answer, a time at its end. */
		int64_t over = r->conf->count && t->left == 0 ? t->last : t->end;

		sum(&result->counts, &t->counts);
		hist_merge(result->latency, t->latency);
		hist_merge(result->connect, t->connect);
		hist_merge(result->lag, t->lag);
		raw_join(result->raw, t->raw);
		if (t->cpu > result->cpu)
			result->cpu = t->cpu;
		if (t->waited > result->waited)
			result->waited = t->waited;
		if (over > end)
			end = over;
	}
	result->seconds = end > begin ? (double)(end - begin) / MOMENT_S : 0;
	memcpy(result->damage, r->shared.damage, sizeof(result->damage));
	result->n_damage = r->shared.n_damage;
}

static int start_threads(struct run *r)
{
	for (; r->n_running < r->n_threads; r->n_running++) {
		struct load_thread *t = &r->threads[r->n_running];
		int error = pthread_create(&t->id, NULL, load_thread_main, t);

		if (error)
			return -error;
	}
	return 0;
}

int load_run(const struct load_conf *conf, const struct load_watch *watch,
	     struct load_result *result, const char **what)
{
	struct run r = {.conf = conf, .watch = watch, .result = result};
	sigset_t signals, before;
	int error;

	*result = (struct load_result){.latency = hist_new(),
				       .connect = hist_new(),
				       .lag = hist_new(),
				       .raw = conf->raw ? raw_new() : NULL};
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	*what = "too many connections for the limit of open files (ulimit -n)";
	error = raise_limit(conf->connections);
	if (error < 0)
		return error;
	*what = "memory";
	error = -ENOMEM;
	if (result->latency && result->connect && result->lag && (result->raw || !conf->raw))
		error = init(&r);
	if (error == 0) {
		/* Only this thread takes signals; it hears them in sigtimedwait(2). */
		pthread_sigmask(SIG_BLOCK, &signals, &before);
		*what = "threads";
		error = start_threads(&r);
		if (error == 0)
			supervise(&r, &signals);
		else
			atomic_store(&r.shared.stop, true);
		for (unsigned i = 0; i < r.n_running; i++)
			pthread_join(r.threads[i].id, NULL);
		pthread_sigmask(SIG_SETMASK, &before, NULL);
		gather(&r);
	}
	deinit(&r);
	return error;
}

void load_free(struct load_result *result)
{
	free(result->latency);
	free(result->connect);
	free(result->lag);
	raw_free(result->raw);
	result->raw = NULL;
	result->latency = result->connect = result->lag = NULL;
}
