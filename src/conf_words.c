/* SPDX-License-Identifier: ISC */
/* The keys for people: which one was meant, what a key takes. */
#include "conf_schema.h"

#include "conf.h"
#include "size.h"

#include <inttypes.h>
#include <string.h>

enum { NAME_MAX_LEN = 40 }; /* longer names are near to none of ours */

static int least(int a, int b)
{
	return a < b ? a : b;
}

/* Edits (insert, delete, replace, swap neighbours) that make A of B. */
static int distance(const char *a, const char *b)
{
	int row[3][NAME_MAX_LEN + 1];
	int alen = (int)strlen(a), blen = (int)strlen(b);

	if (alen > NAME_MAX_LEN || blen > NAME_MAX_LEN)
		return NAME_MAX_LEN;
	for (int j = 0; j <= blen; j++)
		row[0][j] = j;
	for (int i = 1; i <= alen; i++) {
		int *now = row[i % 3], *before = row[(i + 2) % 3], *earlier = row[(i + 1) % 3];

		now[0] = i;
		for (int j = 1; j <= blen; j++) {
			now[j] = least(before[j - 1] + (a[i - 1] != b[j - 1]),
				       1 + least(before[j], now[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = least(now[j], earlier[j - 2] + 1);
		}
	}
	return row[alen % 3][blen];
}

/* The first name of PATH after PREFIX, into BUF; false if PATH is not below PREFIX. */
static bool next_name(const char *path, const char *prefix, char *buf, size_t size)
{
	size_t len = strlen(prefix);

	if (strncmp(path, prefix, len) != 0)
		return false;
	snprintf(buf, size, "%.*s", (int)strcspn(path + len, ".["), path + len);
	return true;
}

/* Make NAME the best in BUF if it is nearer than *BEST. */
static void consider(const char *wanted, const char *name, int *best, char *buf, size_t size)
{
	int d = distance(wanted, name);

	if (d < *best) {
		*best = d;
		snprintf(buf, size, "%s", name);
	}
}

const char *conf_key_suggest(const char *prefix, const char *name, char *buf, size_t size)
{
	char candidate[64];
	int best = 1 + least(3, ((int)strnlen(name, NAME_MAX_LEN) + 2) / 3);

	buf[0] = '\0';
	if (strcmp(prefix, CONF_SERVICE "socket.") == 0)
		for (size_t i = 0; i < n_sockopts; i++)
			consider(name, sockopts[i].name, &best, buf, size);
	for (size_t i = 0; i < n_conf_keys; i++)
		if (next_name(conf_keys[i].path, prefix, candidate, sizeof(candidate)))
			consider(name, candidate, &best, buf, size);
	/* A key that is known, in the wrong group. */
	for (size_t i = 0; i < n_conf_keys && best > 1; i++) {
		const char *path = conf_keys[i].path, *dot = strrchr(path, '.');

		if (dot && strcmp(dot + 1, name) == 0) {
			snprintf(buf, size, "%s", path);
			break;
		}
	}
	if (sockopt_find(name) >= 0 && best > 1)
		snprintf(buf, size, CONF_SERVICE "socket.%s", name);
	return buf[0] ? buf : NULL;
}

/* Append WORD in quotes, after a comma if it is not the first. */
static void append(char *buf, size_t size, const char *word)
{
	size_t used = strlen(buf);

	snprintf(buf + used, size - used, "%s\"%s\"", used ? ", " : "", word);
}

static const char *words_of(const struct conf_key *key, char *buf, size_t size)
{
	buf[0] = '\0';
	switch (key->type) {
	case KEY_PROTOCOL:
		for (int i = 0; i < N_PROTOCOLS; i++)
			append(buf, size, protocols[i].name);
		break;
	case KEY_MODEL:
		for (size_t i = 0; models[i]; i++)
			append(buf, size, models[i]->name);
		break;
	case KEY_ENGINE:
		append(buf, size, "auto");
		for (size_t i = 0; engines[i]; i++)
			append(buf, size, engines[i]->name);
		break;
	default:
		for (const struct conf_word *w = key->words; w && w->name; w++)
			append(buf, size, w->name);
	}
	return buf;
}

const char *conf_key_allowed(const struct conf_key *key, char *buf, size_t size)
{
	char low[SIZE_TEXT_MAX], high[SIZE_TEXT_MAX], words[200];
	const char *zero = key->zero ? "0, or " : "";

	switch (key->type) {
	case KEY_BOOL:
		snprintf(buf, size, "true or false");
		break;
	case KEY_INT:
		snprintf(buf, size, "an integer, %s%" PRId64 " to %" PRId64, zero, key->min,
			 key->max);
		break;
	case KEY_SIZE:
		snprintf(buf, size, "a size such as 65536 or \"64K\", %s%s to %s", zero,
			 size_format(key->min, low), size_format(key->max, high));
		break;
	case KEY_SECONDS:
		snprintf(buf, size, "seconds, %s to %s", seconds_format(key->min, 1000, low),
			 seconds_format(key->max, 1000, high));
		break;
	case KEY_RATE:
		snprintf(buf, size, "a number a second, %s to %s",
			 seconds_format(key->min, 1000, low), seconds_format(key->max, 1000, high));
		break;
	case KEY_TEXT:
		snprintf(buf, size, "a string of %s%" PRId64 " bytes",
			 key->min ? "1 to " : "at most ", key->max);
		break;
	case KEY_MODE:
		snprintf(buf, size, "a string of octal digits, \"0000\" to \"0777\"");
		break;
	case KEY_TEXTS:
		snprintf(buf, size, "an array of %" PRId64 " to %" PRId64 " strings", key->min,
			 key->max);
		break;
	case KEY_PORTS:
		snprintf(buf, size, "an array of at most %" PRId64 " ports, 0 to 65535", key->max);
		break;
	case KEY_CPUS:
		snprintf(buf, size, "an array of at most %" PRId64 " processors, 0 to %d", key->max,
			 CONF_CPU_MAX);
		break;
	case KEY_SOCKET:
		snprintf(buf, size, "a group { } of socket options");
		break;
	default:
		snprintf(buf, size, "one of %s", words_of(key, words, sizeof(words)));
	}
	return buf;
}
