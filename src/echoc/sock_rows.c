/* SPDX-License-Identifier: ISC */
/* The options that every subcommand has because it opens sockets. */
#include "sock.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

/* The code points that have names: RFC 2474, 2597, 3246, 8622. */
static const struct {
	const char *name;
	int value;
} code_points[] = {
	{"CS0", 0},   {"LE", 1},    {"CS1", 8},   {"AF11", 10}, {"AF12", 12}, {"AF13", 14},
	{"CS2", 16},  {"AF21", 18}, {"AF22", 20}, {"AF23", 22}, {"CS3", 24},  {"AF31", 26},
	{"AF32", 28}, {"AF33", 30}, {"CS4", 32},  {"AF41", 34}, {"AF42", 36}, {"AF43", 38},
	{"CS5", 40},  {"EF", 46},   {"CS6", 48},  {"CS7", 56},
};

static int take_dscp(void *field, const char *text, const char **why)
{
	int64_t *dscp = field;
	char *end;

	for (size_t i = 0; i < sizeof(code_points) / sizeof(code_points[0]); i++) {
		if (strcasecmp(code_points[i].name, text) == 0) {
			*dscp = code_points[i].value;
			return 0;
		}
	}
	*dscp = strtol(text, &end, 0);
	if (end != text && *end == '\0' && *dscp >= 0 && *dscp <= 63)
		return 0;
	*why = "0 to 63, or a name: EF, AF41, CS1, LE";
	return -EINVAL;
}

static int take_option(void *field, const char *text, const char **why)
{
	struct sockopt_set *set = field;
	const char *equals = strchr(text, '=');
	char name[32];
	int i;

	*why = "NAME=VALUE, with a NAME of echod --list-options";
	if (!equals || (size_t)(equals - text) >= sizeof(name))
		return -EINVAL;
	memcpy(name, text, (size_t)(equals - text));
	name[equals - text] = '\0';
	i = sockopt_find(name);
	if (i < 0)
		return -EINVAL;
	return sockopt_parse(&sockopts[i], equals + 1, &set->value[i], why);
}

#define FIELD(name_) .offset = offsetof(struct sock_conf, name_)
#define TRANSPORT(p) .kind = ARG_CHOICE, .value = (p), FIELD(protocol)

enum { N_TRANSPORT = 4 /* rows that choose it, at the begin */ };

const struct option_row sock_rows[] = {
	{.name = "udp",
	 .letter = 'u',
	 TRANSPORT(PROTO_UDP),
	 .left = "-u, --udp   --mptcp",
	 .text = "datagrams, or MPTCP, instead of TCP"},
	{.name = "mptcp", TRANSPORT(PROTO_MPTCP)},
	{.name = "unix",
	 .letter = 'U',
	 TRANSPORT(PROTO_UNIX),
	 .left = "-U, --unix  --unix-dgram",
	 .text = "HOST is a socket's path, or @NAME"},
	{.name = "unix-dgram", TRANSPORT(PROTO_UNIX_DGRAM)},
	{.name = "ipv4",
	 .letter = '4',
	 .kind = ARG_CHOICE,
	 .value = AF_INET,
	 FIELD(family),
	 .left = "-4, --ipv4  -6, --ipv6",
	 .text = "addresses of that family alone"},
	{.name = "ipv6", .letter = '6', .kind = ARG_CHOICE, .value = AF_INET6, FIELD(family)},
	{.name = "source",
	 .letter = 'S',
	 .argument = "ADDR[:PORT]",
	 .kind = ARG_TEXT,
	 FIELD(source),
	 .text = "bind to it; without, the kernel chooses"},
	{.name = "dscp",
	 .argument = "N|NAME",
	 .kind = ARG_TAKE,
	 .take = take_dscp,
	 FIELD(dscp),
	 .left = "    --dscp N  --ttl N",
	 .text = "mark what is sent; its hop limit"},
	{.name = "ttl", .argument = "N", .kind = ARG_INT, .min = 1, .max = 255, FIELD(ttl)},
	{.name = "df", .kind = ARG_FLAG, FIELD(df), .text = "don't fragment"},
	{.letter = 'o',
	 .argument = "NAME=VALUE",
	 .kind = ARG_TAKE,
	 .take = take_option,
	 FIELD(asked),
	 .text = "set a socket option, as SO_RCVBUF=64K"},
	{.name = "show-options",
	 .kind = ARG_FLAG,
	 FIELD(show_options),
	 .text = "print the socket's options as they are"},
};

const size_t n_sock_rows = sizeof(sock_rows) / sizeof(sock_rows[0]);
const struct option_row *const sock_tuning_rows = sock_rows + N_TRANSPORT;
/* The last, --show-options, asks for one socket. */
const size_t n_sock_tuning_rows = sizeof(sock_rows) / sizeof(sock_rows[0]) - N_TRANSPORT - 1;
