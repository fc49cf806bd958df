/* SPDX-License-Identifier: ISC */
/* echoc send: send words or standard input, print what returns. */
#include "cmd.h"
#include "exits.h"
#include "moment.h"
#include "send.h"

#include <errno.h>
#include <getopt.h>
#include <unistd.h>

enum { UNSET = -1, STREAM_TIMEOUT = 10, DATAGRAM_TIMEOUT = 2 /* s */ };

#define FIELD(name_) .offset = offsetof(struct send_conf, name_)

static const struct option_row rows[] = {
	{.name = "verify",
	 .letter = 'v',
	 .kind = ARG_FLAG,
	 FIELD(verify),
	 .text = "compare; name the first damage and its place"},
	{.name = "keep-open",
	 .letter = 'k',
	 .kind = ARG_FLAG,
	 FIELD(keep_open),
	 .text = "streams: no half-close; end when all is back"},
	{.name = "timeout",
	 .letter = 'W',
	 .argument = "SECONDS",
	 .kind = ARG_SECONDS,
	 .min = MOMENT_MS,
	 .max = 86400LL * MOMENT_S,
	 FIELD(timeout),
	 .text = "wait so long for progress (10; datagrams 2)"},
	{.name = "size",
	 .letter = 's',
	 .argument = "SIZE",
	 .kind = ARG_SIZE,
	 .min = 1,
	 .max = 65507,
	 FIELD(size),
	 .text = "bytes of input in a datagram (1024)"},
};

static const char examples[] =
	"  echoc send localhost 7 hello world\n"
	"  echoc send --verify '[::1]:echo' <file >copy\n"
	"  echoc send --udp -v 192.0.2.1 7 one two      a datagram for each word\n"
	"  echoc send --unix /run/echod/echo.sock hello\n";

int send_print(const void *data, size_t size)
{
	const char *p = data;

	while (size > 0) {
		ssize_t n = write(STDOUT_FILENO, p, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		size -= (size_t)n;
	}
	return 0;
}

static int run(int argc, char *argv[])
{
	struct send_conf conf = {.sock = SOCK_CONF_INIT, .timeout = UNSET, .size = 1024};
	const struct option_group groups[] = {
		{rows, sizeof(rows) / sizeof(rows[0]), &conf},
		{sock_rows, n_sock_rows, &conf.sock},
	};
	const struct options o = {
		.command = "send",
		.usage = "[OPTION]... HOST [PORT [TEXT...]]",
		.summary = "Send TEXT, or standard input if there is none; print what returns.",
		.examples = examples,
		.groups = groups,
		.n_groups = 2,
	};
	bool stream;
	int r = options_parse(&o, argc, argv);

	if (r != OPTIONS_RUN)
		return r;
	r = sock_take_target(&o, &conf.sock, argc - optind, argv + optind, &conf.target);
	if (r < 0)
		return -r;
	conf.n_texts = argc - optind - r;
	conf.texts = conf.n_texts > 0 ? argv + optind + r : NULL;
	stream = protocols[conf.sock.protocol].stream;
	if (conf.timeout == UNSET)
		conf.timeout = (stream ? STREAM_TIMEOUT : DATAGRAM_TIMEOUT) * (int64_t)MOMENT_S;
	return stream ? send_stream(&conf) : send_datagrams(&conf);
}

const struct cmd cmd_send = {.name = "send",
			     .text = "send words or standard input, print what returns",
			     .run = run};
