/* SPDX-License-Identifier: ISC */
/* The options of a load, and the rules between them. */
#include "load_rows.h"

#include "exits.h"
#include "moment.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int take_sizes(void *field, const char *text, const char **why)
{
	return sizes_parse(field, text, why);
}

static int take_rate(void *field, const char *text, const char **why)
{
	double *rate = field;
	char *end;

	*rate = strtod(text, &end);
	if (end != text && (*end == 'k' || *end == 'K')) {
		*rate *= 1e3;
		end++;
	}
	if (end != text && *end == '\0' && *rate > 0 && *rate <= 1e8)
		return 0;
	*why = "messages a second in all, up to 100000000: \"500\", \"0.5\", \"20k\"";
	return -EINVAL;
}

#define FIELD(name_) .offset = offsetof(struct load_conf, name_)
#define SECONDS(low, high) \
 .argument = "S", .kind = ARG_SECONDS, .min = (low), .max = (high) * (int64_t)MOMENT_S

const struct option_row load_rows[] = {
	{.name = "connections",
	 .letter = 'c',
	 .argument = "N",
	 .kind = ARG_INT,
	 .min = 1,
	 .max = LOAD_CONNECTIONS_MAX,
	 FIELD(connections),
	 .text = "at once (64)"},
	{.name = "threads",
	 .letter = 't',
	 .argument = "N",
	 .kind = ARG_INT,
	 .min = 1,
	 .max = LOAD_THREADS_MAX,
	 FIELD(threads),
	 .text = "that share the connections (1)"},
	{.name = "size",
	 .letter = 's',
	 .argument = "BYTES",
	 .kind = ARG_TAKE,
	 .take = take_sizes,
	 FIELD(sizes),
	 .text = "of a message: 64, 64-1500 or 64,512,1K (64)"},
	{.name = "depth",
	 .letter = 'w',
	 .argument = "N",
	 .kind = ARG_INT,
	 .min = 1,
	 .max = 65536,
	 FIELD(depth),
	 .text = "messages in flight on each connection (1)"},
	{.name = "rate",
	 .letter = 'r',
	 .argument = "N",
	 .kind = ARG_TAKE,
	 .take = take_rate,
	 FIELD(rate),
	 .text = "messages a second in all, on a fixed schedule;"},
	{.left = "", .text = "without: as fast as they come back"},
	{.name = "duration",
	 .letter = 'd',
	 SECONDS(0, 1000000),
	 FIELD(duration),
	 .text = "seconds to measure (10; with --count 600)"},
	{.name = "count",
	 .letter = 'n',
	 .argument = "N",
	 .kind = ARG_INT,
	 .min = 1,
	 .max = INT64_MAX,
	 FIELD(count),
	 .text = "messages to measure"},
	{.name = "warmup",
	 SECONDS(0, 100000),
	 FIELD(warmup),
	 .text = "seconds before, not measured (1)"},
	{.name = "timeout",
	 SECONDS(MOMENT_MS, 100000),
	 FIELD(timeout),
	 .text = "the longest wait for an answer (3)"},
	{.name = "connect-each",
	 .kind = ARG_FLAG,
	 FIELD(connect_each),
	 .text = "a new connection for each message"},
	{.name = "sources",
	 .argument = "N",
	 .kind = ARG_INT,
	 .min = 1,
	 .max = 60000,
	 FIELD(sources),
	 .text = "IPv4 addresses, from --source on, to take ports of"},
	{.name = "spin",
	 .kind = ARG_FLAG,
	 FIELD(spin),
	 .text = "never sleep: exact times, a processor for each thread"},
};

const size_t n_load_rows = sizeof(load_rows) / sizeof(load_rows[0]);

struct load_conf load_rows_default(void)
{
	return (struct load_conf){
		.sock = SOCK_CONF_INIT,
		.sizes = {.list = {64}, .n = 1},
		.connections = 64,
		.threads = 1,
		.depth = 1,
		.duration = -1,
		.warmup = MOMENT_S,
		.timeout = 3 * (int64_t)MOMENT_S,
	};
}

/* --sources needs an address to begin with. */
static int check_sources(const struct options *o, struct load_conf *conf)
{
	struct in_addr first;

	if (conf->to.len == 0 || conf->sources == 0)
		return OPTIONS_RUN;
	if (conf->to.sa.sa_family != AF_INET)
		return options_error(o, "--sources: only with IPv4");
	if (!conf->sock.source && ntohl(conf->to.in.sin_addr.s_addr) >> 24 == 127)
		conf->sock.source = "127.1.0.1"; /* all of 127/8 is this machine's */
	if (!conf->sock.source || inet_pton(AF_INET, conf->sock.source, &first) != 1)
		return options_error(o, "--sources: needs --source ADDR, the first of them");
	return OPTIONS_RUN;
}

int load_rows_check(const struct options *o, struct load_conf *conf)
{
	const struct protocol_row *p = &protocols[conf->sock.protocol];
	int64_t largest = sizes_largest(&conf->sizes), least = conf->sizes.list[0];
	int64_t datagram = conf->to.len && conf->to.sa.sa_family == AF_INET ? 65507 : 65527;

	for (unsigned i = 0; i < conf->sizes.n; i++)
		if (conf->sizes.list[i] < least)
			least = conf->sizes.list[i];
	if (conf->duration < 0)
		conf->duration = (conf->count > 0 ? 600 : 10) * (int64_t)MOMENT_S;
	if (conf->duration == 0 && conf->count == 0)
		return options_error(o, "--duration 0 needs --count");
	if (p->stream && least == 0)
		return options_error(o, "--size: a stream has no empty messages");
	if (!p->stream && largest > (p->local ? 131072 : datagram))
		return options_error(o, "--size: a datagram has at most %d bytes",
				     p->local ? 131072 : (int)datagram);
	if (largest > 1 << 30)
		return options_error(o, "--size: at most 1G");
	if (conf->connect_each && !p->stream)
		return options_error(o, "--connect-each: datagrams have no connections");
	if (conf->connect_each && conf->depth > 1)
		return options_error(o, "--connect-each excludes --depth");
	if (conf->connections * conf->depth > 50000000)
		return options_error(o, "--connections times --depth: at most 50000000");
	if (conf->threads > conf->connections)
		conf->threads = conf->connections;
	/* A thread without a message to send would have nothing that ends it. */
	if (conf->count > 0 && conf->threads > conf->count)
		conf->threads = conf->count;
	conf->sock.connected = true;
	return check_sources(o, conf);
}
