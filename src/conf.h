/* SPDX-License-Identifier: ISC */
/* conf.h - what the configuration says, parsed, checked and resolved.  Read once, then
 * passed on as const: nothing below main and the supervisor changes it.
 *
 * (Not config.h: autoheader's file has that name.) */
#ifndef ECHOD_CONF_H
#define ECHOD_CONF_H

#include "acl.h"
#include "address.h"
#include "engine.h"
#include "model.h"
#include "protocol.h"
#include "sockopt.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum log_target { LOG_TARGET_AUTO, LOG_TARGET_JOURNAL, LOG_TARGET_SYSLOG, LOG_TARGET_STDERR };
enum log_client { LOG_CLIENT_FULL, LOG_CLIENT_PREFIX, LOG_CLIENT_NONE };
enum steering { STEERING_OFF, STEERING_CPU };
enum when_full { FULL_WAIT, FULL_CLOSE, FULL_RESET };
enum respond { RESPOND_ECHO, RESPOND_REPORT, RESPOND_DISCARD };
enum proxy_protocol { PROXY_OFF, PROXY_REQUIRE };
enum sandbox_mode { SANDBOX_AUTO, SANDBOX_REQUIRED, SANDBOX_OFF };

struct log_conf {
	enum log_target target;
	int level;        /* LOG_ERR to LOG_DEBUG of syslog(3): what is more verbose is not said */
	bool connections; /* one record for each finished connection */
	enum log_client client;
};

/* Limits of the daemon's processes, setrlimit(2); 0 = untouched. */
struct process_conf {
	int64_t open_files;    /* descriptors */
	int64_t processes;     /* RLIMIT_NPROC */
	int64_t memory;        /* bytes, RLIMIT_DATA */
	int64_t core;          /* bytes */
	int64_t locked_memory; /* bytes */
	int64_t thread_stack;  /* bytes; never 0 */
	int nice;              /* -20 to 19; 0 = untouched */
	char *user, *group;    /* "" = untouched */
};

/* How much of an address makes a source for the limits. */
struct source_prefix {
	unsigned ipv4, ipv6; /* bits */
};

struct udp_conf {
	uint32_t rate;                 /* datagrams answered, in thousandths a second; 0 = all */
	uint32_t burst;                /* datagrams */
	uint16_t *refuse_source_ports; /* host byte order */
	size_t n_refuse_source_ports;
	bool answer_broadcast;
	char **groups; /* multicast groups to join, numeric, checked */
	size_t n_groups;
	char *interface;        /* to join them on; "" = the kernel chooses */
	bool require_tcp_first; /* answer those alone who have completed a handshake */
	bool gro;               /* take bursts of one flow in one piece, and answer so */
	unsigned batch;         /* datagrams received at once */
};

struct service_conf {
	char *name;
	enum protocol protocol;
	char **listen; /* as written, in order; n_listen of them */
	size_t n_listen;
	char *activation; /* FileDescriptorName of the sockets to take instead; "" = none */
	unsigned mode;    /* of a unix socket's file, 0 to 0777 */
	const struct model *model;
	const struct engine *engine; /* "auto" is resolved */
	bool any_engine;             /* it was "auto" */
	unsigned workers;            /* executors, at least 1: 0 is resolved to the processors */
	uint16_t *cpus;              /* to pin executors to, round robin */
	size_t n_cpus;
	enum steering steering;
	uint32_t busy_poll;   /* microseconds that an executor looks before it sleeps */
	unsigned max_clients; /* at least 1 */
	enum when_full when_full;
	unsigned max_clients_per_source; /* 0 = no limit */
	struct source_prefix source_prefix;
	uint32_t connection_rate;  /* of one source, in thousandths a second; 0 = no limit */
	uint32_t connection_burst; /* of one source, connections; 0 = as many as a second has */
	unsigned backlog;
	uint32_t idle_timeout, lifetime, write_timeout; /* milliseconds; 0 = off */
	uint32_t buffer;                                /* bytes */
	enum respond respond;
	enum proxy_protocol proxy_protocol;
	char **proxy_trusted, **allow, **deny, **exempt; /* prefixes, as written */
	size_t n_proxy_trusted, n_allow, n_deny, n_exempt;
	struct acl access;   /* of allow and deny: may it be served? */
	struct acl exempted; /* are there no limits for it? */
	struct acl trusted;  /* may it say for whom it speaks? */
	struct sockopt_set sockopts;
	struct udp_conf udp;
};

struct conf {
	struct log_conf log;
	struct process_conf process;
	uint32_t shutdown_timeout; /* milliseconds */
	enum sandbox_mode sandbox;
	char *control; /* path of the control socket; "" = RUNTIME_DIRECTORY's */
	struct service_conf *services;
	size_t n_services;
	char *engine_refused; /* why "auto" could not mean the engine that it does, or NULL */
	char *file;           /* where it was read, or NULL: from the command line alone */
};

/* Where the configuration comes from: the command line's part in it. */
struct conf_source {
	const char *file;             /* NULL: none, --listen instead */
	const char *const *listen;    /* "tcp:127.0.0.1:7007", NULL-terminated, or NULL */
	const char *const *overrides; /* "services[0].backlog=64", NULL-terminated, or NULL */
	const char *model, *engine;   /* or NULL; only with listen */
	const char *workers;          /* or NULL; only with listen */
};

/* What is wrong with a configuration: complete lines for the user, "FILE:LINE: path: what
 * is wrong (what is allowed)". */
struct problems {
	char **line;
	size_t n;
	bool shortage; /* the system lacked something: the configuration may be right */
};

/* Read and check all of SOURCE.  Returns a configuration that conf_free() frees, or NULL
 * with at least one line in *PROBLEMS (which starts empty: {0}).  Never ends the process,
 * never logs. */
struct conf *conf_load(const struct conf_source *source, struct problems *problems);

/* The same, and lines in *NOTES (which starts empty) about settings that are right but for
 * which the process that starts the daemon needs more than most have. */
struct conf *conf_load_noting(const struct conf_source *source, struct problems *problems,
			      struct problems *notes);

/* Free C (NULL is fine).  Returns NULL. */
struct conf *conf_free(struct conf *c);

/* Does the UDP service S answer what is sent to many hosts? */
bool conf_answers_many(const struct service_conf *s);

/* Add a line, as printf(3) with %m; errno is kept.  Without memory it is lost. */
void problems_add(struct problems *p, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Free the lines. */
void problems_clear(struct problems *p);

/* Print C as a configuration file with every key, such that loading it gives C again. */
void conf_dump(const struct conf *c, FILE *out);

/* The part of conf_dump() for one service; two services are the same exactly if their
 * dumps are. */
void conf_dump_service(const struct service_conf *s, FILE *out);

#endif
