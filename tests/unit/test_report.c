/* SPDX-License-Identifier: ISC */
/* Reports: their text, and what is left of it in less room, which is JSON all the same. */
#include "report.h"

#include "proxy.h"

#include <jansson.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const struct tcp_info tcp = {
	.tcpi_rtt = 1500,
	.tcpi_rttvar = 250,
	.tcpi_snd_mss = 1448,
	.tcpi_total_retrans = 3,
	.tcpi_snd_cwnd = 10,
};

static struct address ip(const char *text)
{
	struct address a[2];
	const char *why;

	assert_int_equal(address_parse_ip(text, a, &why), 1);
	return a[0];
}

static struct report full(void)
{
	return (struct report){
		.tos = 184,
		.ttl = 61,
		.length = 1200,
		.host = "gate",
		.service = "report-udp",
		.worker = 2,
		.pid = 4711,
		.tid = 4712,
		.peer = ip("192.0.2.1:40000"),
		.local = ip("[2001:db8::7]:7007"),
		.received = 1764320000123456,
		.protocol = "udp",
		.model = "prefork",
		.engine = "epoll",
	};
}

/* Write it where nothing may be written behind SIZE bytes; NUL-terminated, to be freed. */
static char *written(const struct report *r, size_t size, size_t *n)
{
	char *room = malloc(size ? size : 1), *text;

	assert_non_null(room);
	*n = report_write(r, room, size);
	assert_true(*n <= size);
	text = strndup(room, *n);
	assert_non_null(text);
	assert_int_equal(strlen(text), *n);
	free(room);
	return text;
}

static void is_written(const struct report *r, size_t size, const char *wanted)
{
	size_t n;
	char *text = written(r, size, &n);

	assert_string_equal(text, wanted);
	free(text);
}

static void all_of_it(void **state)
{
	struct report r = full();

	(void)state;
	is_written(&r, REPORT_MAX,
		   "{\"tos\":184,\"ttl\":61,\"length\":1200,\"host\":\"gate\","
		   "\"service\":\"report-udp\",\"worker\":2,\"pid\":4711,\"tid\":4712,"
		   "\"peer\":\"192.0.2.1:40000\",\"local\":\"[2001:db8::7]:7007\","
		   "\"received_us\":1764320000123456,\"protocol\":\"udp\",\"model\":\"prefork\","
		   "\"engine\":\"epoll\"}\n");
}

static void of_a_stream(void **state)
{
	struct proxy_header h = {.version = 2,
				 .source = ip("10.0.0.1:1"),
				 .destination = ip("10.0.0.2:7")};
	struct report r = {.tos = -1,
			   .ttl = -1,
			   .length = -1,
			   .worker = -1,
			   .pid = -1,
			   .tid = -1,
			   .received = -1,
			   .host = "h",
			   .proxy = &h,
			   .tcp = &tcp};

	(void)state;
	is_written(&r, REPORT_MAX,
		   "{\"host\":\"h\",\"proxy\":{\"version\":2,\"source\":\"10.0.0.1:1\","
		   "\"destination\":\"10.0.0.2:7\"},\"tcp\":{\"rtt_us\":1500,\"rttvar_us\":250,"
		   "\"mss\":1448,\"retransmits\":3,\"cwnd\":10}}\n");
	h = (struct proxy_header){.version = 1};
	r.tcp = NULL;
	is_written(&r, REPORT_MAX, "{\"host\":\"h\",\"proxy\":{\"version\":1}}\n");
}

static void in_little_room(void **state)
{
	struct report r = full();

	(void)state;
	is_written(&r, 12, "{\"tos\":184}\n");
	is_written(&r, 11, "");
	is_written(&r, 1, "");
	is_written(&r, 0, "");
	is_written(&r, 21, "{\"tos\":184,\"ttl\":61}\n");
	r.tos = r.ttl = r.length = -1; /* what is not known takes no room */
	is_written(&r, 16, "{\"host\":\"gate\"}\n");
	is_written(&r, 15, "");
}

/* In every room: JSON, never longer, and a beginning of the whole. */
static void in_every_room(void **state)
{
	struct report r = full();
	size_t whole, n, last = 0;
	char *text = written(&r, REPORT_MAX, &whole);

	(void)state;
	for (size_t size = 0; size <= whole + 3; size++) {
		char *cut = written(&r, size, &n);
		json_t *o = json_loadb(cut, n, JSON_REJECT_DUPLICATES, NULL);

		assert_true(n >= last);
		assert_int_equal(n > 0, json_is_object(o));
		if (n > 0)
			assert_memory_equal(cut, text, n - 2);
		last = n;
		json_decref(o);
		free(cut);
	}
	assert_int_equal(last, whole);
	free(text);
}

static void strange_names(void **state)
{
	struct report r = {.tos = -1,
			   .ttl = -1,
			   .length = -1,
			   .worker = -1,
			   .pid = -1,
			   .tid = -1,
			   .received = -1,
			   .host = "a\"b\\c\n\x01\x7f\xc3\xa4"};

	(void)state;
	is_written(&r, REPORT_MAX, "{\"host\":\"a\\\"b\\\\c\\u000a\\u0001???\"}\n");
}

/* The longest that there can be has room. */
static void the_largest(void **state)
{
	char host[65], service[65];
	struct proxy_header h = {.version = 2};
	struct tcp_info most;
	struct report r = full();
	size_t n;
	char *text;
	json_t *o;

	(void)state;
	memset(&most, 0xff, sizeof(most));
	memset(host, 1, 64);
	memset(service, '"', 64);
	host[64] = service[64] = '\0';
	r.tos = r.ttl = r.length = r.worker = r.pid = r.tid = r.received = INT64_MAX;
	r.host = host;
	r.service = service;
	r.peer.len = sizeof(r.peer.un);
	r.peer.un.sun_family = AF_UNIX;
	memset(r.peer.un.sun_path, '\\', sizeof(r.peer.un.sun_path));
	r.local = h.source = h.destination = r.peer;
	r.proxy = &h;
	r.tcp = &most;
	r.protocol = "unix-dgram";
	r.model = "prethread";
	r.engine = "io_uring";
	text = written(&r, REPORT_MAX, &n);
	o = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
	assert_string_equal(json_string_value(json_object_get(o, "engine")), "io_uring");
	json_decref(o);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_it),      cmocka_unit_test(of_a_stream),
		cmocka_unit_test(in_little_room), cmocka_unit_test(in_every_room),
		cmocka_unit_test(strange_names),  cmocka_unit_test(the_largest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
