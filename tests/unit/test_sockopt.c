/* SPDX-License-Identifier: ISC */
/* The rows of the socket options against this kernel: each can be set where the table says
 * so, is copied by accept(2) where the table says so, and comes back as what was set. */
#include "sockopt.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const struct sockopt_row *row_of(const char *name)
{
	int i = sockopt_find(name);

	assert_true(i >= 0);
	return &sockopts[i];
}

static struct sockopt_value value_of(const char *name, const char *text)
{
	struct sockopt_value v;
	const char *why = "";

	if (sockopt_parse(row_of(name), text, &v, &why) < 0)
		fail_msg("%s=%s: %s", name, text, why);
	return v;
}

static void test_table(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_sockopts; i++) {
		const struct sockopt_row *r = &sockopts[i];

		assert_int_equal(sockopt_find(r->name), i); /* no name twice */
		assert_true(r->protocols != 0);
		assert_int_equal(r->not_copied & ~r->protocols, 0);
		assert_true(r->type != OPT_NAMES || r->words);
		assert_int_equal(r->text[strlen(r->text) - 1], '.');
		assert_true(strlen(r->name) <= 20); /* the width of --list-options */
	}
	assert_int_equal(sockopt_find("SO_NOSUCH"), -ENOENT);
}

/* Text, its canonical form, or NULL where it is refused. */
static const struct {
	const char *name, *text, *again;
} texts[] = {
	{"SO_KEEPALIVE", "true", "true"},
	{"SO_KEEPALIVE", "FALSE", "false"},
	{"SO_KEEPALIVE", "1", NULL},
	{"SO_RCVBUF", "64K", "65536"},
	{"SO_RCVBUF", "1", "1"},
	{"SO_RCVBUF", "0", NULL},
	{"SO_RCVBUF", "2G", NULL},
	{"SO_RCVBUF", "64KB", NULL},
	{"SO_LINGER", "5", "5"},
	{"SO_LINGER", "0", "0"},
	{"SO_LINGER", "false", "false"},
	{"SO_LINGER", "-1", NULL},
	{"SO_LINGER", "true", NULL},
	{"SO_RCVTIMEO", "0.5", "0.5"},
	{"SO_RCVTIMEO", "2", "2.0"},
	{"SO_RCVTIMEO", "-1", NULL},
	{"SO_RCVTIMEO", "86401", NULL},
	{"SO_MARK", "4294967295", "4294967295"},
	{"SO_MARK", "4294967296", NULL},
	{"IP_TTL", "255", "255"},
	{"IP_TTL", "256", NULL},
	{"IP_TTL", "0", NULL},
	{"IP_TTL", "5x", NULL},
	{"IP_TTL", "99999999999999999999", NULL},
	{"IP_MTU_DISCOVER", "do", "do"},
	{"IP_MTU_DISCOVER", "yes", NULL},
	{"SO_TIMESTAMPING", "both", "both"},
	{"TCP_CONGESTION", "reno", "reno"},
	{"TCP_CONGESTION", "", NULL},
	{"TCP_CONGESTION", "sixteen-letters!", NULL},
	{"IP_ADD_MEMBERSHIP", "239.1.2.3", "239.1.2.3"},
	{"IP_ADD_MEMBERSHIP", "239.1.2.3%lo", "239.1.2.3%lo"},
	{"IP_ADD_MEMBERSHIP", "239.1.2.3%nosuch", "239.1.2.3%nosuch"},
	{"IP_ADD_MEMBERSHIP",
	 "239.1.2.3%an-interface-with-a-name-that-none-can-have-it-is-too-long", NULL},
	{"IP_ADD_MEMBERSHIP", "127.0.0.1", NULL},
	{"IP_ADD_MEMBERSHIP", "ff02::1", NULL},
	{"IPV6_ADD_MEMBERSHIP", "ff02::1%lo", "ff02::1%lo"},
	{"IPV6_ADD_MEMBERSHIP", "::1", NULL},
	{"SO_SNDLOWAT", "1", NULL},
	{"IP_DROP_MEMBERSHIP", "239.1.2.3", NULL},
	{"IPV6_DROP_MEMBERSHIP", "ff02::1", NULL},
};

static void test_text(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		const struct sockopt_row *row = row_of(texts[i].name);
		struct sockopt_value v;
		const char *why = NULL;
		char buf[80];
		int r = sockopt_parse(row, texts[i].text, &v, &why);

		assert_int_equal(r, texts[i].again ? 0 : -EINVAL);
		assert_true(r == 0 || (why && why[0]));
		if (r == 0)
			assert_string_equal(sockopt_format(row, &v, buf, sizeof(buf)),
					    texts[i].again);
	}
}

static int make_socket(enum protocol p, int family)
{
	int fd = socket(family, protocols[p].type, protocols[p].ipproto);

	assert_true(fd >= 0);
	return fd;
}

/* A value that differs from OLD. */
static struct sockopt_value other_value(const struct sockopt_row *row,
					const struct sockopt_value *old)
{
	struct sockopt_value v = {.set = true};

	switch (row->type) {
	case OPT_BOOL:
		v.number = !old->number;
		break;
	case OPT_STRING:
		strcpy(v.text, row->level == SOL_SOCKET ? "lo" : "reno");
		break;
	case OPT_NAMES:
		v.number = row->words[old->number == row->words[1].number ? 2 : 1].number;
		break;
	case OPT_MEMBERSHIP:
		strcpy(v.text, row->family == AF_INET6 ? "ff02::1234%lo" : "239.1.2.3%lo");
		break;
	case OPT_SIZE:
		v.number = 50000;
		break;
	case OPT_TIME:
		v.number = 2500000;
		break;
	default:
		v.number = row->min > 8 ? 500 : old->number == 4 ? 8 : 4;
	}
	/* A processor that every host has; the default is none (-1). */
	if (strcmp(row->name, "SO_INCOMING_CPU") == 0)
		v.number = 0;
	return v;
}

/* The socket that accept(2) makes of LISTENER, or -1. */
static int accept_one(int listener, enum protocol p, int family)
{
	struct sockaddr_storage ss = {.ss_family = (sa_family_t)family};
	socklen_t len = sizeof(ss);
	int client = make_socket(p, family), fd;

	if (family == AF_INET)
		((struct sockaddr_in *)&ss)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else if (family == AF_INET6)
		((struct sockaddr_in6 *)&ss)->sin6_addr = in6addr_loopback;
	else
		len = sizeof(sa_family_t); /* autobind */
	if (bind(listener, (struct sockaddr *)&ss, len) < 0) {
		close(client);
		return -1; /* no IPv6 here, perhaps */
	}
	assert_int_equal(listen(listener, 5), 0);
	len = sizeof(ss);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&ss, &len), 0);
	assert_int_equal(connect(client, (struct sockaddr *)&ss, len), 0);
	assert_int_equal(write(client, "x", 1), 1); /* for TCP_DEFER_ACCEPT */
	fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	close(client);
	return fd;
}

static bool same(const struct sockopt_value *a, const struct sockopt_value *b)
{
	return a->number == b->number && strcmp(a->text, b->text) == 0;
}

/* Options that speak of the listener alone, so that a connection has nothing to inherit;
 * and those that the kernel keeps writing in a connection, as packets arrive. */
static bool listener_only(const struct sockopt_row *row)
{
	static const char *const names[] = {"TCP_DEFER_ACCEPT", "TCP_FASTOPEN", "SO_INCOMING_CPU",
					    "TCP_QUICKACK"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(row->name, names[i]) == 0)
			return true;
	return false;
}

static void check_accept(const struct sockopt_row *row, enum protocol p, int family, int fd,
			 const struct sockopt_value *set)
{
	struct sockopt_value got;
	int connection = accept_one(fd, p, family);

	if (connection < 0)
		return;
	/* TCP takes the time stamps' room from TCP_MAXSEG. */
	if (!row->unreadable && !listener_only(row) && strcmp(row->name, "TCP_MAXSEG") != 0) {
		assert_int_equal(sockopt_get(connection, row, &got), 0);
		if (same(&got, set) != (sockopt_stage(row, p) != AT_CONNECTION))
			fail_msg("%s over %s: accept(2) %s it, against the table", row->name,
				 protocols[p].name, same(&got, set) ? "copies" : "does not copy");
	}
	close(connection);
}

static void check_row(const struct sockopt_row *row, enum protocol p, int family)
{
	struct sockopt_value old = {.set = false}, asked, got;
	int fd = make_socket(p, family), r;

	if (!row->unreadable)
		assert_int_equal(sockopt_get(fd, row, &old), 0);
	asked = other_value(row, &old);
	r = sockopt_set(fd, row, &asked);
	if (r == -EPERM || r == -ENODEV || (r == -ENOENT && row->type == OPT_STRING)) {
		close(fd); /* not root, no `lo`, no reno: nothing is learnt */
		return;
	}
	if (row->refused) {
		assert_true(r < 0);
		close(fd);
		return;
	}
	if (r < 0 && p == PROTO_MPTCP) { /* older kernels know fewer of its options */
		close(fd);
		return;
	}
	if (r < 0)
		fail_msg("%s over %s: %s", row->name, protocols[p].name, strerror(-r));
	if (!row->unreadable) {
		assert_int_equal(sockopt_get(fd, row, &got), 0);
		if (row->doubled)
			assert_int_equal(got.number, 2 * asked.number);
		else if (!listener_only(row))
			assert_true(same(&got, &asked));
		if (protocols[p].stream)
			check_accept(row, p, family, fd, &got);
	}
	close(fd);
}

static bool mptcp_missing(void)
{
	int fd = socket(AF_INET, SOCK_STREAM, IPPROTO_MPTCP);

	if (fd >= 0)
		close(fd);
	return fd < 0;
}

static void test_kernel(void **state)
{
	static const int families[] = {AF_INET, AF_INET6};

	(void)state;
	for (size_t i = 0; i < n_sockopts; i++) {
		for (enum protocol p = 0; p < N_PROTOCOLS; p++) {
			if (!(sockopts[i].protocols & (1u << p)) ||
			    (p == PROTO_MPTCP && mptcp_missing()))
				continue;
			if (protocols[p].local)
				check_row(&sockopts[i], p, AF_UNIX);
			for (int f = 0; f < 2 && !protocols[p].local; f++)
				if (sockopts[i].family == 0 || sockopts[i].family == families[f])
					check_row(&sockopts[i], p, families[f]);
		}
	}
}

/* The fact on which a connection costs no system call for TCP_NODELAY. */
static void test_nodelay_is_inherited(void **state)
{
	struct sockopt_value on = value_of("TCP_NODELAY", "true"), got;
	int fd = make_socket(PROTO_TCP, AF_INET), connection;

	(void)state;
	assert_int_equal(sockopt_set(fd, row_of("TCP_NODELAY"), &on), 0);
	connection = accept_one(fd, PROTO_TCP, AF_INET);
	assert_int_equal(sockopt_get(connection, row_of("TCP_NODELAY"), &got), 0);
	assert_int_equal(got.number, 1);
	close(connection);
	close(fd);
}

/* The exercise of the course: read the receive buffer's size, double it, set it, and see
 * what the kernel made of it: twice as much again, unless that passes its limit. */
static void test_receive_buffer(void **state)
{
	const struct sockopt_row *row = row_of("SO_RCVBUF");
	struct sockopt_value small = value_of("SO_RCVBUF", "16K"), before, after;
	int fd = make_socket(PROTO_TCP, AF_INET);

	(void)state;
	assert_int_equal(sockopt_set(fd, row, &small), 0);
	assert_int_equal(sockopt_get(fd, row, &before), 0);
	assert_int_equal(before.number, 32768);
	before.number *= 2;
	assert_int_equal(sockopt_set(fd, row, &before), 0);
	assert_int_equal(sockopt_get(fd, row, &after), 0);
	assert_int_equal(after.number, 131072);
	close(fd);
}

static void test_apply(void **state)
{
	struct sockopt_set set = {.value = {{.set = false}}};
	const struct sockopt_row *failed = NULL;
	struct sockopt_value got;
	int fd = make_socket(PROTO_TCP, AF_INET);

	(void)state;
	set.value[sockopt_find("TCP_NODELAY")] = value_of("TCP_NODELAY", "true");
	set.value[sockopt_find("TCP_FASTOPEN")] = value_of("TCP_FASTOPEN", "5");
	set.value[sockopt_find("SO_BROADCAST")] = value_of("SO_BROADCAST", "true"); /* UDP's */
	set.value[sockopt_find("IPV6_UNICAST_HOPS")] = value_of("IPV6_UNICAST_HOPS", "9");
	assert_int_equal(sockopt_apply(fd, &set, AT_SOCKET, PROTO_TCP, AF_INET, &failed), 0);
	assert_int_equal(sockopt_get(fd, row_of("TCP_NODELAY"), &got), 0);
	assert_int_equal(got.number, 1);
	assert_int_equal(sockopt_get(fd, row_of("SO_BROADCAST"), &got), 0);
	assert_int_equal(got.number, 0);
	assert_int_equal(sockopt_get(fd, row_of("TCP_FASTOPEN"), &got), 0);
	assert_int_equal(got.number, 0);
	assert_int_equal(sockopt_apply(fd, &set, AT_BOUND, PROTO_TCP, AF_INET, &failed), 0);
	assert_int_equal(sockopt_get(fd, row_of("TCP_FASTOPEN"), &got), 0);
	assert_int_equal(got.number, 5);

	set.value[sockopt_find("TCP_CONGESTION")] = value_of("TCP_CONGESTION", "nosuch");
	assert_int_equal(sockopt_apply(fd, &set, AT_SOCKET, PROTO_TCP, AF_INET, &failed), -ENOENT);
	assert_string_equal(failed->name, "TCP_CONGESTION");
	close(fd);
}

static void test_stage(void **state)
{
	(void)state;
	assert_int_equal(sockopt_stage(row_of("SO_PRIORITY"), PROTO_TCP), AT_CONNECTION);
	assert_int_equal(sockopt_stage(row_of("SO_PRIORITY"), PROTO_UDP), AT_SOCKET);
	assert_int_equal(sockopt_stage(row_of("SO_SNDBUF"), PROTO_UNIX), AT_CONNECTION);
	assert_int_equal(sockopt_stage(row_of("SO_SNDBUF"), PROTO_TCP), AT_SOCKET);
	assert_int_equal(sockopt_stage(row_of("TCP_FASTOPEN"), PROTO_TCP), AT_BOUND);
	assert_int_equal(sockopt_get(-1, row_of("SO_RCVBUF"), &(struct sockopt_value){0}), -EBADF);
	assert_int_equal(sockopt_get(-1, row_of("IP_ADD_MEMBERSHIP"), &(struct sockopt_value){0}),
			 -EOPNOTSUPP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),          cmocka_unit_test(test_text),
		cmocka_unit_test(test_kernel),         cmocka_unit_test(test_nodelay_is_inherited),
		cmocka_unit_test(test_receive_buffer), cmocka_unit_test(test_apply),
		cmocka_unit_test(test_stage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
