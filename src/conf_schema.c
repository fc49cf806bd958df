/* SPDX-License-Identifier: ISC */
/* The configuration keys.  The keys of services[].socket are not here: each row of
 * sockopts[] is one. */
#include "conf_schema.h"

#include "conf.h"

#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#define STREAMS (1u << PROTO_TCP | 1u << PROTO_UNIX | 1u << PROTO_MPTCP)
#define LOCAL   (1u << PROTO_UNIX | 1u << PROTO_UNIX_DGRAM)
#define UDP     (1u << PROTO_UDP)
#define INET    (1u << PROTO_TCP | 1u << PROTO_MPTCP | UDP)
#define TCP     (1u << PROTO_TCP | 1u << PROTO_MPTCP)
#define ALL     ((1u << N_PROTOCOLS) - 1)

#define KIB    1024ll
#define MIB    (1024 * KIB)
#define GIB    (1024 * MIB)
#define SECOND 1000ll /* in milliseconds */
#define DAY    (86400 * SECOND)

#define RATE_MAX (4000000 * 1000ll) /* in thousandths a second */
#define LIST_MAX 65536              /* networks */

static const struct conf_word log_targets[] = {
	{"auto", LOG_TARGET_AUTO},
	{"journal", LOG_TARGET_JOURNAL},
	{"syslog", LOG_TARGET_SYSLOG},
	{"stderr", LOG_TARGET_STDERR},
	{NULL, 0},
};

static const struct conf_word log_clients[] = {
	{"full", LOG_CLIENT_FULL},
	{"prefix", LOG_CLIENT_PREFIX},
	{"none", LOG_CLIENT_NONE},
	{NULL, 0},
};

static const struct conf_word log_levels[] = {
	{"error", LOG_ERR}, {"warning", LOG_WARNING}, {"notice", LOG_NOTICE},
	{"info", LOG_INFO}, {"debug", LOG_DEBUG},     {NULL, 0},
};

static const struct conf_word steering_words[] = {
	{"off", STEERING_OFF},
	{"cpu", STEERING_CPU},
	{NULL, 0},
};

static const struct conf_word full_words[] = {
	{"wait", FULL_WAIT},
	{"close", FULL_CLOSE},
	{"reset", FULL_RESET},
	{NULL, 0},
};

static const struct conf_word respond_words[] = {
	{"echo", RESPOND_ECHO},
	{"report", RESPOND_REPORT},
	{"discard", RESPOND_DISCARD},
	{NULL, 0},
};

static const struct conf_word proxy_words[] = {
	{"off", PROXY_OFF},
	{"require", PROXY_REQUIRE},
	{NULL, 0},
};

static const struct conf_word sandbox_words[] = {
	{"auto", SANDBOX_AUTO},
	{"required", SANDBOX_REQUIRED},
	{"off", SANDBOX_OFF},
	{NULL, 0},
};

/* The field of a row: where it is and how large. */
#define GLOBAL(field) \
 .offset = offsetof(struct conf, field), .size = sizeof(((struct conf *)0)->field)
#define SERVICE(field) \
 .offset = offsetof(struct service_conf, field), .size = sizeof(((struct service_conf *)0)->field)
#define COUNT(field) .count_offset = offsetof(struct service_conf, field)

/* Ports whose services answer, or that attackers aim answers at: RFC 862's neighbours
 * (two echoes would talk for ever), and what is used for amplification. */
#define REFUSED_PORTS \
 "[ 7, 9, 13, 17, 19, 37, 53, 69, 111, 123, 137, 161, 389, 520, 1900, 5353, 11211 ]"

const struct conf_key conf_keys[] = {
	{"log.target", KEY_WORD, GLOBAL(log.target), .words = log_targets, .def = "auto",
	 .text = "Where the log goes; auto is the journal when run by systemd, else stderr."},
	{"log.level", KEY_WORD, GLOBAL(log.level), .words = log_levels, .def = "info",
	 .text = "What is less important than this is not logged."},
	{"log.connections", KEY_BOOL, GLOBAL(log.connections), .def = "false",
	 .text = "Log one record for each finished connection."},
	{"log.client", KEY_WORD, GLOBAL(log.client), .words = log_clients, .def = "full",
	 .text = "How much of a client's address is logged: all, its network, or nothing."},

	{"process.open_files", KEY_INT, GLOBAL(process.open_files), .min = 64, .max = 1 << 30,
	 .zero = true, .def = "65536", .unit = "descriptors",
	 .text = "Descriptors of a process, as far as the hard limit allows; 0 = untouched."},
	{"process.processes", KEY_INT, GLOBAL(process.processes), .min = 1, .max = 1 << 22,
	 .zero = true, .def = "0", .unit = "processes",
	 .text = "Processes and threads of the user (RLIMIT_NPROC); 0 = untouched."},
	{"process.memory", KEY_SIZE, GLOBAL(process.memory), .min = MIB, .max = 1024 * GIB,
	 .zero = true, .def = "0", .unit = "bytes",
	 .text = "Data of a process (RLIMIT_DATA); 0 = untouched."},
	{"process.core", KEY_SIZE, GLOBAL(process.core), .min = 1, .max = 1024 * GIB, .zero = true,
	 .def = "0", .unit = "bytes", .text = "Largest core dump (RLIMIT_CORE); 0 = untouched."},
	{"process.locked_memory", KEY_SIZE, GLOBAL(process.locked_memory), .min = 1,
	 .max = 1024 * GIB, .zero = true, .def = "0", .unit = "bytes",
	 .text = "Memory that a process may lock (RLIMIT_MEMLOCK); 0 = untouched."},
	{"process.thread_stack", KEY_SIZE, GLOBAL(process.thread_stack), .min = 64 * KIB,
	 .max = GIB, .def = "128K", .unit = "bytes", .text = "Stack of a thread."},
	{"process.nice", KEY_INT, GLOBAL(process.nice), .min = -20, .max = 19, .def = "0",
	 .needs = NEEDS_SCHEDULING,
	 .text = "Scheduling priority, -20 is the most favourable; 0 = untouched."},
	{"process.user", KEY_TEXT, GLOBAL(process.user), .max = 32, .def = "", .needs = NEEDS_ROOT,
	 .text = "User to become when started as root; \"\" = stay."},
	{"process.group", KEY_TEXT, GLOBAL(process.group), .max = 32, .def = "",
	 .needs = NEEDS_ROOT,
	 .text = "Group to become when started as root; \"\" = that of the user."},

	{"shutdown_timeout", KEY_SECONDS, GLOBAL(shutdown_timeout), .max = DAY, .def = "30.0",
	 .unit = "seconds", .text = "The longest that draining may take when echod stops."},

	{"sandbox", KEY_WORD, GLOBAL(sandbox), .words = sandbox_words, .def = "auto",
	 .text = "Workers have the system calls of their list and no file; auto: as far as the "
		 "system has the means."},

	{"control", KEY_TEXT, GLOBAL(control), .max = 107, .def = "", .needs = NEEDS_WRITABLE_PATH,
	 .text = "Control socket; \"\" = control in systemd's RUNTIME_DIRECTORY, else none."},

	{"services[].name", KEY_TEXT, SERVICE(name), .min = 1, .max = 64, .protocols = ALL,
	 .text = "Name in logs and process titles; default: echo- and the protocol."},
	{"services[].protocol", KEY_PROTOCOL, SERVICE(protocol), .def = "tcp", .protocols = ALL,
	 .text = "What is spoken."},
	{"services[].listen", KEY_TEXTS, SERVICE(listen), COUNT(n_listen), .min = 1, .max = 64,
	 .protocols = ALL, .needs = NEEDS_WRITABLE_PATH,
	 .text = "Addresses; \"*:7\" is every address of both families, a path is for unix."},
	{"services[].activation", KEY_TEXT, SERVICE(activation), .max = 255, .def = "",
	 .protocols = ALL,
	 .text = "Take the sockets that systemd passes under this name instead of listening."},
	{"services[].mode", KEY_MODE, SERVICE(mode), .max = 0777, .def = "0666", .protocols = LOCAL,
	 .text = "Permissions of a unix socket's file."},
	{"services[].model", KEY_MODEL, SERVICE(model), .def = "prefork", .protocols = ALL,
	 .text = "Who runs: the concurrency model."},
	{"services[].engine", KEY_ENGINE, SERVICE(engine), .def = "auto", .protocols = ALL,
	 .text = "How an executor serves; auto is blocking for fork and thread, else epoll."},
	{"services[].workers", KEY_INT, SERVICE(workers), .max = 4096, .def = "0",
	 .unit = "executors", .protocols = ALL,
	 .text = "Executors of prefork and prethread; 0 = one for each processor."},
	{"services[].cpus", KEY_CPUS, SERVICE(cpus), COUNT(n_cpus), .max = 1024, .def = "[ ]",
	 .protocols = ALL, .needs = NEEDS_SCHEDULING,
	 .text = "Processors to pin the executors to, round robin; empty = none."},
	{"services[].steering", KEY_WORD, SERVICE(steering), .words = steering_words, .def = "off",
	 .protocols = 1u << PROTO_TCP | UDP, .strict = true,
	 .text = "With cpu, what comes on a processor of cpus goes to the executor there."},
	{"services[].busy_poll", KEY_INT, SERVICE(busy_poll), .max = 1000000, .def = "0",
	 .unit = "microseconds", .protocols = ALL,
	 .text = "How long an executor looks again before it sleeps; for who has processors to "
		 "spare."},
	{"services[].max_clients", KEY_INT, SERVICE(max_clients), .min = 1, .max = 1 << 20,
	 .def = "1024", .unit = "clients", .protocols = STREAMS,
	 .text = "Connections at once; of fork and thread, processes or threads."},
	{"services[].when_full", KEY_WORD, SERVICE(when_full), .words = full_words, .def = "wait",
	 .protocols = STREAMS,
	 .text = "At max_clients the next one waits in the backlog, or is closed, or reset."},
	{"services[].max_clients_per_source", KEY_INT, SERVICE(max_clients_per_source),
	 .max = 1 << 20, .def = "0", .unit = "clients", .protocols = TCP, .strict = true,
	 .text = "Connections at once of one source; 0 = no limit."},
	{"services[].source_prefix.ipv4", KEY_INT, SERVICE(source_prefix.ipv4), .min = 8, .max = 32,
	 .def = "32", .unit = "bits", .protocols = INET, .strict = true,
	 .text = "How much of an IPv4 address makes a source for the limits."},
	{"services[].source_prefix.ipv6", KEY_INT, SERVICE(source_prefix.ipv6), .min = 16,
	 .max = 128, .def = "64", .unit = "bits", .protocols = INET, .strict = true,
	 .text = "How much of an IPv6 address makes a source for the limits."},
	{"services[].connection_rate", KEY_RATE, SERVICE(connection_rate), .max = RATE_MAX,
	 .def = "0.0", .unit = "connections", .protocols = TCP, .strict = true,
	 .text = "Connections a second of one source; 0 = no limit."},
	{"services[].connection_burst", KEY_INT, SERVICE(connection_burst), .max = 1 << 20,
	 .def = "0", .unit = "connections", .protocols = TCP, .strict = true,
	 .text = "How many may come at once nevertheless; 0 = those of a second."},
	{"services[].backlog", KEY_INT, SERVICE(backlog), .min = 1, .max = 65535, .def = "511",
	 .unit = "connections", .protocols = STREAMS,
	 .text = "Connections that may wait for accept (the queue limit of listen)."},
	{"services[].idle_timeout", KEY_SECONDS, SERVICE(idle_timeout), .max = 30 * DAY,
	 .def = "300.0", .unit = "seconds", .protocols = STREAMS,
	 .text = "A connection on which nothing moves is closed; 0 = never."},
	{"services[].lifetime", KEY_SECONDS, SERVICE(lifetime), .max = 30 * DAY, .def = "0.0",
	 .unit = "seconds", .protocols = STREAMS,
	 .text = "A connection that is this old is closed; 0 = never."},
	{"services[].write_timeout", KEY_SECONDS, SERVICE(write_timeout), .max = 30 * DAY,
	 .def = "60.0", .unit = "seconds", .protocols = STREAMS,
	 .text = "A client that takes nothing of what it is sent is closed; 0 = never."},
	{"services[].buffer", KEY_SIZE, SERVICE(buffer), .min = 4 * KIB, .max = 16 * MIB,
	 .def = "256K", .unit = "bytes", .protocols = STREAMS,
	 .text = "The most that is read at once and held for a slow reader."},
	{"services[].respond", KEY_WORD, SERVICE(respond), .words = respond_words, .def = "echo",
	 .protocols = ALL,
	 .text = "What is answered: the same (RFC 862), a report in JSON, or nothing (RFC 863)."},
	{"services[].proxy_protocol", KEY_WORD, SERVICE(proxy_protocol), .words = proxy_words,
	 .def = "off", .protocols = STREAMS, .strict = true,
	 .text = "Whether a header of the PROXY protocol, version 1 or 2, must come first."},
	{"services[].proxy_trusted", KEY_TEXTS, SERVICE(proxy_trusted), COUNT(n_proxy_trusted),
	 .max = LIST_MAX, .def = "[ ]", .protocols = STREAMS, .strict = true,
	 .text = "Networks of the proxies that may send that header."},
	{"services[].allow", KEY_TEXTS, SERVICE(allow), COUNT(n_allow), .max = LIST_MAX,
	 .def = "[ ]", .protocols = INET, .strict = true,
	 .text = "Networks that are served; the most specific of allow and deny wins, empty = "
		 "all."},
	{"services[].deny", KEY_TEXTS, SERVICE(deny), COUNT(n_deny), .max = LIST_MAX, .def = "[ ]",
	 .protocols = INET, .strict = true, .text = "Networks that are not served."},
	{"services[].exempt", KEY_TEXTS, SERVICE(exempt), COUNT(n_exempt), .max = LIST_MAX,
	 .def = "[ ]", .protocols = INET, .strict = true,
	 .text = "Networks for which the limits of a source do not hold."},
	{"services[].socket", KEY_SOCKET, SERVICE(sockopts), .protocols = ALL,
	 .text = "Socket options, named as in the manual pages; absent = untouched."},

	{"services[].udp.rate", KEY_RATE, SERVICE(udp.rate), .max = RATE_MAX, .def = "1000.0",
	 .unit = "datagrams", .protocols = UDP, .strict = true,
	 .text = "Datagrams a second of one source that are answered; 0 = no limit."},
	{"services[].udp.burst", KEY_INT, SERVICE(udp.burst), .min = 1, .max = 1 << 20,
	 .def = "200", .unit = "datagrams", .protocols = UDP, .strict = true,
	 .text = "How many may come at once nevertheless."},
	{"services[].udp.refuse_source_ports", KEY_PORTS, SERVICE(udp.refuse_source_ports),
	 COUNT(udp.n_refuse_source_ports), .max = 1024, .def = REFUSED_PORTS, .protocols = UDP,
	 .strict = true,
	 .text = "Datagrams from these ports get no answer, lest two services echo for ever."},
	{"services[].udp.answer_broadcast", KEY_BOOL, SERVICE(udp.answer_broadcast), .def = "false",
	 .protocols = UDP, .strict = true, .text = "Answer what was sent to a broadcast address."},
	{"services[].udp.groups", KEY_TEXTS, SERVICE(udp.groups), COUNT(udp.n_groups), .max = 64,
	 .def = "[ ]", .protocols = UDP, .strict = true,
	 .text = "Multicast groups to join; what is sent to them is answered."},
	{"services[].udp.interface", KEY_TEXT, SERVICE(udp.interface), .max = 15, .def = "",
	 .protocols = UDP, .strict = true,
	 .text = "Network interface to join them on; \"\" = the kernel chooses."},
	{"services[].udp.require_tcp_first", KEY_BOOL, SERVICE(udp.require_tcp_first),
	 .def = "false", .protocols = UDP, .strict = true,
	 .text = "Answer only sources that have lately completed a handshake of TCP with echod."},
	{"services[].udp.gro", KEY_BOOL, SERVICE(udp.gro), .def = "true", .protocols = UDP,
	 .strict = true, .text = "Take a burst of one flow in one piece, and answer it so."},
	{"services[].udp.batch", KEY_INT, SERVICE(udp.batch), .min = 1, .max = 1024, .def = "64",
	 .unit = "datagrams", .protocols = UDP, .strict = true,
	 .text = "Datagrams that are received at once."},
};

const size_t n_conf_keys = sizeof(conf_keys) / sizeof(conf_keys[0]);

const struct conf_key *conf_key_find(const char *path)
{
	for (size_t i = 0; i < n_conf_keys; i++)
		if (strcmp(conf_keys[i].path, path) == 0)
			return &conf_keys[i];
	return NULL;
}

bool conf_key_group(const char *path)
{
	size_t len = strlen(path);

	for (size_t i = 0; i < n_conf_keys; i++)
		if (strncmp(conf_keys[i].path, path, len) == 0 && conf_keys[i].path[len] == '.')
			return true;
	return false;
}
