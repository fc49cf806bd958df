/* SPDX-License-Identifier: ISC */
/* What an errno means to whoever asks "can I reach it?".  The same errno always gives the
 * same exit code, so that scripts can tell a closed port from a silent one. */
#include "exits.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

static const struct {
	int error;
	enum exit_code code;
} rows[] = {
	{ECONNREFUSED, EXITS_REFUSED},
	{ETIMEDOUT, EXITS_TIMEOUT},
	{EAGAIN, EXITS_TIMEOUT},
	{EHOSTUNREACH, EXITS_UNREACHABLE},
	{ENETUNREACH, EXITS_UNREACHABLE},
	{EHOSTDOWN, EXITS_UNREACHABLE},
	{ENETDOWN, EXITS_UNREACHABLE},
	{ENONET, EXITS_UNREACHABLE},
	{EADDRNOTAVAIL, EXITS_UNREACHABLE},
	{EAFNOSUPPORT, EXITS_UNREACHABLE},
	{EACCES, EXITS_UNREACHABLE}, /* ICMP "prohibited", or a socket file's mode */
	{EPERM, EXITS_UNREACHABLE},  /* the local packet filter */
	{ENOPROTOOPT, EXITS_UNREACHABLE},
	{EPROTO, EXITS_UNREACHABLE},
	{EMSGSIZE, EXITS_UNREACHABLE},
	{ENOENT, EXITS_NAME}, /* a unix socket's path */
	{ENOTDIR, EXITS_NAME},
	{ECONNRESET, EXITS_DAMAGED},
	{ECONNABORTED, EXITS_DAMAGED},
	{EPIPE, EXITS_DAMAGED},
	{EBADMSG, EXITS_DAMAGED},
};

static const struct {
	enum exit_code code;
	const char *word;
} words[] = {
	{EXITS_OK, "ok"},           {EXITS_MISSED, "threshold missed"},
	{EXITS_USAGE, "usage"},     {EXITS_REFUSED, "refused"},
	{EXITS_TIMEOUT, "timeout"}, {EXITS_UNREACHABLE, "unreachable"},
	{EXITS_NAME, "name"},       {EXITS_DAMAGED, "damaged"},
	{EXITS_SYSTEM, "system"},
};

enum exit_code exits_of(int err)
{
	if (err == 0)
		return EXITS_OK;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].error == -err)
			return rows[i].code;
	return EXITS_SYSTEM;
}

const char *exits_word(enum exit_code code)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (words[i].code == code)
			return words[i].word;
	return "unknown";
}

const char *exits_help(void)
{
	return "Exit code: 0 ok, 1 threshold missed, 2 usage, 3 refused, 4 timeout,\n"
	       "           5 unreachable, 6 name not found, 7 damaged, 71 this machine failed\n";
}

enum exit_code exits_say(enum exit_code code, const char *command, const char *fmt, ...)
{
	va_list ap;

	fflush(stdout); /* what was said before stands before */
	fprintf(stderr, "echoc: %s: ", command);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	return code;
}
