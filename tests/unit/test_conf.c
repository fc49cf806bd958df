/* SPDX-License-Identifier: ISC */
/* Configurations loaded: the defaults, what is resolved, overrides, and the way out and
 * back in. */
#include "loaded.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include <cmocka.h>

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_defaults(void **state)
{
	struct conf *c = load(&(struct conf_source){.listen = LIST("tcp:127.0.0.1:7")});
	const struct service_conf *s = &c->services[0];
	cpu_set_t set;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	assert_null(c->file);
	assert_int_equal(c->log.target, LOG_TARGET_AUTO);
	assert_int_equal(c->log.level, LOG_INFO);
	assert_int_equal(c->process.open_files, 65536);
	assert_int_equal(c->process.thread_stack, 131072);
	assert_string_equal(c->process.user, "");
	assert_int_equal(c->shutdown_timeout, 30000);
	assert_string_equal(c->control, "");
	assert_int_equal(c->n_services, 1);
	assert_string_equal(s->name, "echo-tcp");
	assert_int_equal(s->n_listen, 1);
	assert_string_equal(s->model->name, "prefork");
	assert_ptr_equal(s->engine,
			 c->engine_refused ? engine_find("epoll") : engine_find("io_uring"));
	assert_int_equal(s->workers, CPU_COUNT(&set));
	assert_int_equal(s->max_clients, 1024);
	assert_int_equal(s->backlog, 511);
	assert_int_equal(s->buffer, 262144);
	assert_int_equal(s->idle_timeout, 300000);
	assert_int_equal(s->lifetime, 0);
	assert_int_equal(s->write_timeout, 60000);
	assert_int_equal(s->when_full, FULL_WAIT);
	assert_int_equal(s->mode, 0666);
	for (size_t i = 0; i < n_sockopts; i++)
		assert_int_equal(s->sockopts.value[i].set,
				 &s->sockopts.value[i] == option(s, "SO_REUSEADDR") ||
					 &s->sockopts.value[i] == option(s, "TCP_NODELAY"));
	conf_free(c);
}

static void test_listen(void **state)
{
	struct conf *c = load(&(struct conf_source){
		.listen = LIST("udp:*:7", "tcp:127.0.0.1:7", "unix:/run/a \"b\\.sock",
			       "tcp:[::1]:7", "unix-dgram:@x", "mptcp:127.0.0.1:9"),
		.model = "iterative",
		.engine = "blocking",
		.workers = "0",
	});

	(void)state;
	assert_int_equal(c->n_services, 5);
	assert_string_equal(c->services[0].name, "echo-udp");
	assert_int_equal(c->services[0].udp.n_refuse_source_ports, 17);
	assert_int_equal(c->services[0].udp.refuse_source_ports[16], 11211);
	assert_false(option(&c->services[0], "SO_REUSEADDR")->set);
	assert_string_equal(c->services[1].name, "echo-tcp");
	assert_int_equal(c->services[1].n_listen, 2);
	assert_string_equal(c->services[1].listen[1], "[::1]:7");
	assert_string_equal(c->services[2].listen[0], "/run/a \"b\\.sock");
	assert_int_equal(c->services[3].protocol, PROTO_UNIX_DGRAM);
	assert_true(option(&c->services[4], "TCP_NODELAY")->set);
	for (size_t i = 0; i < 5; i++) {
		assert_string_equal(c->services[i].model->name, "iterative");
		assert_string_equal(c->services[i].engine->name, "blocking");
		assert_int_equal(c->services[i].workers, 1);
	}
	conf_free(c);
}

/* Every row set to something that is not its default. */
static const char everything[] =
	"log = { target = \"stderr\"; level = \"debug\"; connections = true; };\n"
	"process = { open_files = 1024; processes = 0x40; memory = \"5G\"; core = 1;\n"
	"	locked_memory = 65536; thread_stack = \"1M\"; nice = -5; user = \"root\";\n"
	"	group = \"root\"; };\n"
	"shutdown_timeout = 2;\n"
	"control = \"/run/x y\";\n"
	"services = (\n"
	"{ name = \"a\"; protocol = \"mptcp\"; listen = ( \"127.0.0.1:1\", \"[::1]:0\" );\n"
	"  model = \"thread\"; engine = \"blocking\"; workers = 7; max_clients = 3;\n"
	"  when_full = \"reset\"; backlog = 65535; idle_timeout = 0.001; lifetime = 86400.5;\n"
	"  write_timeout = 0; buffer = 4096;\n"
	"  socket = { TCP_NODELAY = false; SO_REUSEADDR = true; SO_RCVBUF = \"64K\";\n"
	"	SO_LINGER = false; SO_RCVTIMEO = 1.5; TCP_CONGESTION = \"reno\"; };\n"
	"},\n"
	"{ protocol = \"unix\"; listen = \"/tmp/x y\\\"\\\\\\x09z\"; mode = \"0700\";\n"
	"  model = \"prethread\"; workers = 4096; },\n"
	"{ protocol = \"udp\"; listen = [ \"*:9\" ]; socket = { SO_REUSEPORT = true;\n"
	"	IP_MTU_DISCOVER = \"do\"; IP_ADD_MEMBERSHIP = \"239.9.9.9\"; SO_LINGER_ = 1; };\n"
	"  udp = { refuse_source_ports = [ ]; answer_broadcast = true;\n"
	"	groups = [ \"239.1.2.3\", \"ff02::9\" ]; interface = \"lo\"; }; } );\n";

static char *without(const char *text, const char *part)
{
	char *copy = strdup(text), *at = strstr(copy, part);

	assert_non_null(at);
	memset(at, ' ', strlen(part));
	return copy;
}

static void test_round_trip(void **state)
{
	char *text = without(everything, "SO_LINGER_ = 1;"), *first, *second;
	struct conf *c = load_text(text);
	const struct service_conf *s = &c->services[0];

	(void)state;
	assert_int_equal(c->process.memory, 5ll << 30);
	assert_int_equal(c->process.processes, 64);
	assert_int_equal(c->process.nice, -5);
	assert_int_equal(s->idle_timeout, 1);
	assert_int_equal(s->lifetime, 86400500);
	assert_int_equal(s->workers, 1); /* of thread */
	assert_int_equal(option(s, "SO_LINGER")->number, -1);
	assert_int_equal(option(s, "TCP_NODELAY")->number, 0);
	assert_int_equal(option(s, "SO_RCVTIMEO")->number, 1500000);
	assert_int_equal(c->services[1].mode, 0700);
	assert_string_equal(c->services[1].listen[0], "/tmp/x y\"\\\tz");
	first = dump(c);
	conf_free(c);
	c = load_text(first);
	second = dump(c);
	conf_free(c);
	assert_string_equal(first, second);
	assert_non_null(strstr(first, "groups = [ \"239.1.2.3\", \"ff02::9\" ];"));
	assert_non_null(strstr(first, "SO_RCVBUF = \"64K\";"));
	assert_non_null(strstr(first, "idle_timeout = 0.001;"));
	free(first);
	free(second);
	free(text);
}

/* A service's dump tells whether it changed: nothing else may be in it. */
static void test_dump_service(void **state)
{
	struct conf *c = load(&(struct conf_source){.listen = LIST("tcp:[::1]:7", "udp:[::1]:7")});
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	(void)state;
	conf_dump_service(&c->services[0], f);
	fclose(f);
	assert_non_null(strstr(text, "name = \"echo-tcp\";"));
	assert_null(strstr(text, "udp"));
	free(text);
	conf_free(c);
}

static void test_overrides(void **state)
{
	struct conf *c = load(&(struct conf_source){
		.listen = LIST("tcp:127.0.0.1:7", "unix:/run/x"),
		.overrides = LIST("services[0].backlog=64", "shutdown_timeout=0.5",
				  "services[0].socket.SO_RCVBUF=64K", "services[0].listen=[::1]:9",
				  "services[1].listen=[\"/run/y\", \"@z\"]",
				  "services[1].listen[1]=@zz", "services[1].mode=0600",
				  "log={ level = \"debug\"; }", "log.connections=true",
				  "services[0].socket.SO_RCVBUF=32768", "services[1].name=a.b",
				  "process.memory=5000000000", "process.nice=-3"),
	});

	(void)state;
	assert_int_equal(c->services[0].backlog, 64);
	assert_int_equal(c->shutdown_timeout, 500);
	assert_int_equal(option(&c->services[0], "SO_RCVBUF")->number, 32768);
	assert_string_equal(c->services[0].listen[0], "[::1]:9");
	assert_int_equal(c->services[1].n_listen, 2);
	assert_string_equal(c->services[1].listen[0], "/run/y");
	assert_string_equal(c->services[1].listen[1], "@zz");
	assert_string_equal(c->services[1].name, "a.b");
	assert_int_equal(c->services[1].mode, 0600);
	assert_int_equal(c->log.level, LOG_DEBUG);
	assert_true(c->log.connections);
	assert_int_equal(c->process.memory, 5000000000);
	assert_int_equal(c->process.nice, -3);
	conf_free(c);
}

static void test_problems(void **state)
{
	struct problems p;

	(void)state;
	assert_null(conf_load(&(struct conf_source){.file = "/nonexistent/x"}, &p));
	assert_int_equal(p.n, 1);
	assert_string_equal(p.line[0], "/nonexistent/x: No such file or directory");
	problems_clear(&p);
	assert_int_equal(p.n, 0);
	assert_null(conf_load(&(struct conf_source){.listen = LIST("tcp")}, &p));
	assert_string_equal(p.line[0], "--listen: \"tcp\" is not PROTOCOL:ADDRESS (PROTOCOL is one "
				       "of tcp, udp, unix, unix-dgram, mptcp)");
	problems_clear(&p);
	assert_null(conf_free(NULL));
}

/* A terminal is sent nothing but characters: no escape codes, in no encoding. */
static void test_odd_bytes(void **state)
{
	struct problems p;

	(void)state;
	write_file("services = ( { listen = \"@x\"; protocol = \"unix\";\n"
		   "name = \"\x9b\x1b\xc3\xa4\xc2\x9b\xe2\x82\xac\xe2\x82\x7f\xff\"; } );");
	assert_null(conf_load(&(struct conf_source){.file = path}, &p));
	assert_int_equal(p.n, 1);
	assert_string_equal(p.line[0] + strlen(path),
			    ":2: services[0].name: \"??\xc3\xa4??\xe2\x82\xac????\" is not a name "
			    "(letters, digits, . _ -)");
	problems_clear(&p);
}

/* A file of nothing but mistakes has an end. */
static void test_many_problems(void **state)
{
	struct problems p;
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	(void)state;
	for (int i = 0; i < 250; i++)
		fprintf(f, "unknown%d = 1;\n", i);
	fclose(f);
	write_file(text);
	free(text);
	assert_null(conf_load(&(struct conf_source){.file = path}, &p));
	assert_int_equal(p.n, 101);
	assert_string_equal(p.line[100], "more than 100 mistakes: the rest is not shown");
	problems_clear(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),      cmocka_unit_test(test_listen),
		cmocka_unit_test(test_round_trip),    cmocka_unit_test(test_dump_service),
		cmocka_unit_test(test_overrides),     cmocka_unit_test(test_problems),
		cmocka_unit_test(test_many_problems), cmocka_unit_test(test_odd_bytes),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
