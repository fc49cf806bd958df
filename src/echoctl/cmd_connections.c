/* SPDX-License-Identifier: ISC */
/* echoctl connections: who is connected.  There may be very many, so they are printed as they
 * come, in columns of fixed width. */
#include "ctl.h"
#include "session.h"
#include "text.h"

static void print_row(const json_t *c)
{
	char age[32], in[32], out[32];
	const char *peer = text_of(c, "peer");
	int pad = 28 - (int)text_width(peer);

	text_put(stdout, peer);
	printf("%*s  %-14s  %9s  %9s  %7.0f  ", pad > 0 ? pad : 0, "",
	       text_duration(number_of(c, "age"), age), text_bytes(number_of(c, "bytes_in"), in),
	       text_bytes(number_of(c, "bytes_out"), out), number_of(c, "pid"));
	text_put(stdout, text_of(c, "service"));
	puts(json_is_true(json_object_get(c, "draining")) ? " (draining)" : "");
}

/* For programs: one object, of which each connection is a line. */
static void print_json(const json_t *c, size_t before)
{
	fputs(before ? ",\n" : "\n", stdout);
	json_dumpf(c, stdout, JSON_COMPACT | JSON_REAL_PRECISION(15));
}

static void print_piece(const struct ctl *ctl, const json_t *got, size_t *n)
{
	const json_t *c;
	size_t i;

	if (*n == 0 && !ctl->json)
		printf("%-28s  %-14s  %9s  %9s  %7s  %s\n", "PEER", "CONNECTED FOR", "IN", "OUT",
		       "PID", "SERVICE");
	json_array_foreach(json_object_get(got, "connections"), i, c)
	{
		if (ctl->json)
			print_json(c, *n);
		else
			print_row(c);
		*n += 1;
	}
}

/* Every reply to the end. */
static enum ctl_exit print_all(struct session *s)
{
	enum ctl_exit code = CTL_OK;
	bool continues = true;
	size_t n = 0;

	for (bool first = true; continues && code == CTL_OK; first = false) {
		json_t *got = NULL;

		code = session_receive(s, &got, &continues);
		if (code == CTL_OK && first && s->ctl->json)
			fputs("{\"connections\": [", stdout);
		if (code == CTL_OK)
			print_piece(s->ctl, got, &n);
		json_decref(got);
	}
	if (code == CTL_OK && s->ctl->json)
		puts("\n]}");
	return code;
}

static enum ctl_exit run(const struct ctl *ctl)
{
	struct session s;
	enum ctl_exit code = session_open(&s, ctl);

	if (code != CTL_OK)
		return code;
	code = session_send(&s, "GetConnections", ctl_about(ctl->argument), true);
	if (code == CTL_OK)
		code = print_all(&s);
	session_close(&s);
	return code;
}

const struct ctl_command cmd_connections = {
	.name = "connections",
	.argument = "[SERVICE]",
	.text = "who is connected, for how long, bytes; for root",
	.timeout = 10000,
	.run = run,
};
