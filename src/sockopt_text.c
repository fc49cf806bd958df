/* SPDX-License-Identifier: ISC */
/* Socket options for people: values, what is allowed, the table of --list-options. */
#include "sockopt.h"

#include "size.h"

#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

const char *sockopt_format(const struct sockopt_row *row, const struct sockopt_value *value,
			   char *buf, size_t size)
{
	char number[SIZE_TEXT_MAX];

	switch (row->type) {
	case OPT_BOOL:
		snprintf(buf, size, "%s", value->number ? "true" : "false");
		return buf;
	case OPT_TIME:
		snprintf(buf, size, "%s", seconds_format(value->number, 1000000, number));
		return buf;
	case OPT_STRING:
	case OPT_MEMBERSHIP:
		snprintf(buf, size, "%s", value->text);
		return buf;
	case OPT_NAMES:
		for (const struct sockopt_word *w = row->words; w->name; w++) {
			if (w->number == value->number) {
				snprintf(buf, size, "%s", w->name);
				return buf;
			}
		}
		break;
	case OPT_LINGER:
		if (value->number < 0) {
			snprintf(buf, size, "false");
			return buf;
		}
		break;
	default:
		break;
	}
	snprintf(buf, size, "%" PRId64, value->number);
	return buf;
}

static const char *word_list(const struct sockopt_word *words, char *buf, size_t size)
{
	size_t used = 0;

	buf[0] = '\0';
	for (const struct sockopt_word *w = words; w->name && used < size; w++)
		used += (size_t)snprintf(buf + used, size - used, "%s\"%s\"", used ? ", " : "",
					 w->name);
	return buf;
}

const char *sockopt_allowed(const struct sockopt_row *row, char *buf, size_t size)
{
	char low[SIZE_TEXT_MAX], high[SIZE_TEXT_MAX], words[128];

	switch (row->type) {
	case OPT_BOOL:
		snprintf(buf, size, "true or false");
		break;
	case OPT_INT:
		snprintf(buf, size, "an integer, %" PRId64 " to %" PRId64, row->min, row->max);
		break;
	case OPT_SIZE:
		snprintf(buf, size, "a size such as 65536 or \"64K\", %s to %s",
			 size_format(row->min, low), size_format(row->max, high));
		break;
	case OPT_SECONDS:
		snprintf(buf, size, "whole seconds, %" PRId64 " to %" PRId64, row->min, row->max);
		break;
	case OPT_TIME:
		snprintf(buf, size, "seconds, %s to %s", seconds_format(row->min, 1000000, low),
			 seconds_format(row->max, 1000000, high));
		break;
	case OPT_LINGER:
		snprintf(buf, size, "whole seconds, %" PRId64 " to %" PRId64 ", or false", row->min,
			 row->max);
		break;
	case OPT_STRING:
		snprintf(buf, size, "a string of 1 to %" PRId64 " bytes", row->max);
		break;
	case OPT_MEMBERSHIP:
		snprintf(buf, size, "a multicast group such as \"%s\", %%INTERFACE may follow",
			 row->family == AF_INET6 ? "ff02::1234" : "239.1.2.3");
		break;
	case OPT_NAMES:
		snprintf(buf, size, "one of %s", word_list(row->words, words, sizeof(words)));
		break;
	}
	return buf;
}

const char *sockopt_protocols(unsigned mask, char *buf, size_t size)
{
	size_t used = 0;

	buf[0] = '\0';
	for (int i = 0; i < N_PROTOCOLS && used < size; i++)
		if (mask & (1u << i))
			used += (size_t)snprintf(buf + used, size - used, "%s%s", used ? ", " : "",
						 protocols[i].name);
	return buf;
}

static const char *level_name(int level)
{
	switch (level) {
	case SOL_SOCKET:
		return "SOL_SOCKET";
	case IPPROTO_IP:
		return "IPPROTO_IP";
	case IPPROTO_IPV6:
		return "IPPROTO_IPV6";
	default:
		return "IPPROTO_TCP";
	}
}

/* "connection" alone where it is so for every protocol, else of the listener. */
static const char *stage_text(const struct sockopt_row *row)
{
	if (row->refused)
		return "never";
	if (row->not_copied && (row->protocols & ~row->not_copied) == 0)
		return "connection";
	return row->stage == AT_BOUND ? "bound" : "socket";
}

void sockopt_list(FILE *out)
{
	static const char *const type_names[] = {
		[OPT_BOOL] = "bool",       [OPT_INT] = "int",     [OPT_SIZE] = "size",
		[OPT_SECONDS] = "seconds", [OPT_TIME] = "time",   [OPT_LINGER] = "linger",
		[OPT_STRING] = "string",   [OPT_NAMES] = "words", [OPT_MEMBERSHIP] = "group",
	};
	char names[64];

	fprintf(out, "%-20s  %-12s  %-7s  %-10s  %-33s  %s\n", "NAME", "LEVEL", "TYPE", "SET AT",
		"PROTOCOLS", "WHAT IT DOES");
	for (size_t i = 0; i < n_sockopts; i++) {
		const struct sockopt_row *row = &sockopts[i];

		fprintf(out, "%-20s  %-12s  %-7s  %-10s  %-33s  %s", row->name,
			level_name(row->level), type_names[row->type], stage_text(row),
			sockopt_protocols(row->protocols, names, sizeof(names)), row->text);
		if (row->refused)
			fprintf(out, " Refused: %s.", row->refused);
		fputc('\n', out);
	}
}
