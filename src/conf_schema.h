/* SPDX-License-Identifier: ISC */
/* conf_schema.h - the configuration keys, a row each.  The reader, the range checks, the
 * dump, the manual page and etc/echod.conf come from the rows or are tested against them. */
#ifndef ECHOD_CONF_SCHEMA_H
#define ECHOD_CONF_SCHEMA_H

#include "needs.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum key_type {
	KEY_BOOL,     /* bool */
	KEY_INT,      /* integer of the field's size */
	KEY_SIZE,     /* the same, bytes: 65536 or "64K" */
	KEY_SECONDS,  /* uint32_t, milliseconds; seconds in the file */
	KEY_RATE,     /* uint32_t, thousandths a second; how often a second in the file */
	KEY_WORD,     /* int, of the row's words */
	KEY_PROTOCOL, /* enum protocol, a word of protocols[] */
	KEY_MODEL,    /* const struct model *, a word of models[] */
	KEY_ENGINE,   /* const struct engine *, a word of engines[]; NULL = auto */
	KEY_TEXT,     /* char *, at most `max` bytes */
	KEY_MODE,     /* unsigned, "0666" */
	KEY_TEXTS,    /* char ** and size_t: list of strings, min to max of them */
	KEY_PORTS,    /* uint16_t * and size_t */
	KEY_CPUS,     /* the same, numbers of processors */
	KEY_SOCKET    /* struct sockopt_set: the keys are sockopts[] */
};

/* A word for a number, in a table that ends with a NULL name. */
struct conf_word {
	const char *name;
	int number;
};

struct conf_key {
	const char *path; /* "process.nice"; "services[].backlog" for each service */
	enum key_type type;
	size_t offset, size; /* of the field in struct conf, or in struct service_conf */
	size_t count_offset; /* of the size_t beside what is a list */
	int64_t min, max;    /* of the number in the field; of lists and texts, of its length */
	bool zero;           /* 0 is allowed besides min to max (off, untouched, automatic) */
	const char *def;     /* as written with -o; NULL: the key must be there, or is derived */
	const char *unit;    /* of the number, or NULL */
	const struct conf_word *words; /* of KEY_WORD */
	unsigned protocols;            /* mask of those that it concerns; 0: no service's */
	bool strict;                   /* naming it for another protocol is an error */
	enum need needs;               /* of who starts echod, if the key is not 0 or "" */
	const char *text;              /* one sentence */
};

extern const struct conf_key conf_keys[];
extern const size_t n_conf_keys;

/* The last processor that KEY_CPUS can name. */
#define CONF_CPU_MAX 1023

/* The prefix of the rows of a service. */
#define CONF_SERVICE "services[]."

/* The row of PATH (in the form of the rows), or NULL. */
const struct conf_key *conf_key_find(const char *path);

/* Is KEY's field a list on the heap, with a count beside it? */
static inline bool conf_key_is_list(const struct conf_key *key)
{
	return key->type == KEY_TEXTS || key->type == KEY_PORTS || key->type == KEY_CPUS;
}

/* Is PATH a group that rows are below? */
bool conf_key_group(const char *path);

/* The name of a key (or a group) below the group PREFIX ("" or "log." ...) that is nearest
 * to NAME, or NULL if none is near; a whole path if NAME is a key of another group. */
const char *conf_key_suggest(const char *prefix, const char *name, char *buf, size_t size);

/* What KEY takes, for people: "an integer, 1 to 65535".  Returns BUF. */
const char *conf_key_allowed(const struct conf_key *key, char *buf, size_t size);

#endif
