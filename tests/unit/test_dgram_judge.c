/* SPDX-License-Identifier: ISC */
/* Who is answered: a question in, the counter of a rule out. */
#include "dgram_judge.h"

#include "conf.h"
#include "dgram_control.h"
#include "quotas.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { PORT = 7007, LO = 1, ETH = 2 };

static struct own own;
static uint16_t refused[] = {19, 53};
static char *groups[] = {(char *)"239.1.2.3", (char *)"ff05::99"};
static struct service_conf service = {
	.protocol = PROTO_UDP,
	.access.otherwise = true,
	.udp = {.refuse_source_ports = refused,
		.n_refuse_source_ports = 2,
		.groups = groups,
		.n_groups = 2},
};
static struct endpoint endpoints[1];
static struct quotas no_quotas;
static struct worker worker = {
	.conf = &service,
	.quotas = &no_quotas,
	.own = &own,
	.sockets = endpoints,
	.n_endpoints = 1,
};
static struct dgram_judge judge;

static int setup(void **state)
{
	(void)state;
	ports_add(&own.ports, PORT);
	endpoints[0].address = (struct address){.len = sizeof(struct sockaddr_un),
						.un = {.sun_family = AF_UNIX, .sun_path = "/own"}};
	own_add(&own, &endpoints[0].address);
	return dgram_judge_init(&judge, &worker);
}

static int teardown(void **state)
{
	(void)state;
	dgram_judge_deinit(&judge);
	return 0;
}

static void set_address(struct address *a, const char *host, uint16_t port)
{
	*a = (struct address){.len = 0};
	if (inet_pton(AF_INET, host, &a->in.sin_addr) == 1) {
		a->in.sin_family = AF_INET;
		a->in.sin_port = htons(port);
		a->len = sizeof(a->in);
	} else {
		assert_int_equal(inet_pton(AF_INET6, host, &a->in6.sin6_addr), 1);
		a->in6.sin6_family = AF_INET6;
		a->in6.sin6_port = htons(port);
		a->len = sizeof(a->in6);
	}
}

/* A question from FROM to TO, which is an address of ours. */
static struct question ask(const char *from, uint16_t port, const char *to, unsigned ifindex)
{
	struct question q = {.ifindex = ifindex, .size = 5};

	set_address(&q.from, from, port);
	set_address(&q.to, to, 0);
	if (q.to.sa.sa_family == AF_INET)
		q.spec_dst = q.to.in.sin_addr;
	return q;
}

static void every_rule(void **state)
{
	static const struct {
		const char *from;
		uint16_t port;
		const char *to;
		unsigned ifindex;
		enum counter verdict;
	} rows[] = {
		{"192.0.2.9", 4000, "192.0.2.1", ETH, C_DATAGRAMS_OUT},
		{"192.0.2.9", 1, "192.0.2.1", ETH, C_DATAGRAMS_OUT},
		{"192.0.2.9", 65535, "192.0.2.1", ETH, C_DATAGRAMS_OUT},
		{"192.0.2.9", 0, "192.0.2.1", ETH, C_REFUSED_SOURCE},
		{"192.0.2.9", 19, "192.0.2.1", ETH, C_REFUSED_SOURCE_PORT},
		{"192.0.2.9", 53, "192.0.2.1", ETH, C_REFUSED_SOURCE_PORT},
		{"192.0.2.9", PORT, "192.0.2.1", ETH, C_REFUSED_OWN_PORT},
		{"0.0.0.0", 4000, "192.0.2.1", ETH, C_REFUSED_SOURCE},
		{"0.9.9.9", 4000, "192.0.2.1", ETH, C_REFUSED_SOURCE},
		{"223.255.255.255", 4000, "192.0.2.1", ETH, C_DATAGRAMS_OUT},
		{"224.0.0.1", 4000, "192.0.2.1", ETH, C_REFUSED_SOURCE},
		{"240.0.0.1", 4000, "192.0.2.1", ETH, C_REFUSED_SOURCE},
		{"255.255.255.255", 4000, "192.0.2.1", ETH, C_REFUSED_SOURCE},
		{"127.0.0.1", 4000, "127.0.0.1", LO, C_DATAGRAMS_OUT},
		{"127.0.0.1", 4000, "127.0.0.1", ETH, C_REFUSED_SOURCE},
		{"192.0.2.9", 4000, "224.0.0.1", ETH, C_REFUSED_DESTINATION},
		{"192.0.2.9", 4000, "239.1.2.3", ETH, C_DATAGRAMS_OUT},
		{"192.0.2.9", 4000, "239.1.2.4", ETH, C_REFUSED_DESTINATION},
		{"2001:db8::9", 4000, "2001:db8::1", ETH, C_DATAGRAMS_OUT},
		{"2001:db8::9", 0, "2001:db8::1", ETH, C_REFUSED_SOURCE},
		{"2001:db8::9", 53, "2001:db8::1", ETH, C_REFUSED_SOURCE_PORT},
		{"2001:db8::9", PORT, "2001:db8::1", ETH, C_REFUSED_OWN_PORT},
		{"::", 4000, "2001:db8::1", ETH, C_REFUSED_SOURCE},
		{"ff02::1", 4000, "2001:db8::1", ETH, C_REFUSED_SOURCE},
		{"::1", 4000, "::1", LO, C_DATAGRAMS_OUT},
		{"::1", 4000, "2001:db8::1", ETH, C_REFUSED_SOURCE},
		{"::ffff:192.0.2.9", 4000, "2001:db8::1", ETH, C_REFUSED_SOURCE},
		{"2001:db8::9", 4000, "ff02::1", ETH, C_REFUSED_DESTINATION},
		{"2001:db8::9", 4000, "ff05::99", ETH, C_DATAGRAMS_OUT},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct question q = ask(rows[i].from, rows[i].port, rows[i].to, rows[i].ifindex);

		if (dgram_judge(&judge, &q) != rows[i].verdict)
			fail_msg("row %zu: %s port %u to %s", i, rows[i].from, rows[i].port,
				 rows[i].to);
	}
}

static void a_broadcast_is_answered_only_if_asked_for(void **state)
{
	struct question q = ask("192.0.2.9", 4000, "192.0.2.255", ETH);

	(void)state;
	inet_pton(AF_INET, "192.0.2.1", &q.spec_dst);
	assert_int_equal(dgram_judge(&judge, &q), C_REFUSED_DESTINATION);
	service.udp.answer_broadcast = true;
	assert_int_equal(dgram_judge(&judge, &q), C_DATAGRAMS_OUT);
	service.udp.answer_broadcast = false;
}

static void what_is_sent_to_many(void **state)
{
	struct question us = ask("192.0.2.9", 4000, "192.0.2.1", ETH);
	struct question group = ask("192.0.2.9", 4000, "239.1.2.3", ETH);
	struct question us6 = ask("2001:db8::9", 4000, "2001:db8::1", ETH);
	struct question group6 = ask("2001:db8::9", 4000, "ff02::1", ETH);
	struct question all = ask("192.0.2.9", 4000, "192.0.2.255", ETH);

	(void)state;
	inet_pton(AF_INET, "192.0.2.1", &all.spec_dst);
	assert_false(dgram_judge_many(&us));
	assert_false(dgram_judge_many(&us6));
	assert_true(dgram_judge_many(&group));
	assert_true(dgram_judge_many(&group6));
	assert_true(dgram_judge_many(&all));
}

static void half_a_datagram_is_no_echo(void **state)
{
	struct question q = ask("192.0.2.9", 4000, "192.0.2.1", ETH);

	(void)state;
	q.truncated = true;
	assert_int_equal(dgram_judge(&judge, &q), C_REFUSED_TRUNCATED);
}

static struct question ask_unix(const char *path)
{
	struct question q = {.from = {.len = offsetof(struct sockaddr_un, sun_path)}};

	q.from.un.sun_family = AF_UNIX;
	if (path) {
		strcpy(q.from.un.sun_path, path);
		q.from.len = sizeof(struct sockaddr_un);
	}
	return q;
}

static void unix_peers_have_a_name_that_is_not_ours(void **state)
{
	struct question named = ask_unix("/peer"), ours = ask_unix("/own"), none = ask_unix(NULL);

	(void)state;
	assert_int_equal(dgram_judge(&judge, &named), C_DATAGRAMS_OUT);
	assert_int_equal(dgram_judge(&judge, &ours), C_REFUSED_OWN_PORT);
	ours.from.len = offsetof(struct sockaddr_un, sun_path) + strlen("/own"); /* without a NUL */
	assert_int_equal(dgram_judge(&judge, &ours), C_REFUSED_OWN_PORT);
	assert_int_equal(dgram_judge(&judge, &none), C_REFUSED_SOURCE);
	own_clear(&own, &own.key);
	assert_int_equal(dgram_judge(&judge, &ours), C_DATAGRAMS_OUT);
}

static void passed_descriptors_are_closed(void **state)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))] = {0};
	struct msghdr m = {.msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	int passed[2] = {dup(STDERR_FILENO), dup(STDERR_FILENO)};
	struct question q = {.size = 0};

	(void)state;
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(passed));
	memcpy(CMSG_DATA(c), passed, sizeof(passed));
	dgram_control_read(&m, &q);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(fcntl(passed[i], F_GETFD), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(passed_descriptors_are_closed),
		cmocka_unit_test_setup_teardown(every_rule, setup, teardown),
		cmocka_unit_test_setup_teardown(a_broadcast_is_answered_only_if_asked_for, setup,
						teardown),
		cmocka_unit_test_setup_teardown(what_is_sent_to_many, setup, teardown),
		cmocka_unit_test_setup_teardown(half_a_datagram_is_no_echo, setup, teardown),
		cmocka_unit_test_setup_teardown(unix_peers_have_a_name_that_is_not_ours, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
