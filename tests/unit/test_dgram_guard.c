/* SPDX-License-Identifier: ISC */
/* The guard of datagrams: lists, rates and what is above them, loops, handshakes. */
#include "dgram_guard.h"

#include "address.h"
#include "breaker.h"
#include "conf.h"
#include "handshakes.h"
#include "quotas.h"
#include "worker.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { RATE = 1000, BURST = 200, SECOND = 1000000 /* in microseconds */ };

#define START UINT64_C(5000000000000)

/* A service and what guards it. */
struct fixture {
	struct service_conf service;
	struct log_conf log;
	struct worker worker;
	void *memory;
	struct dgram_guard guard;
};

static const struct siphash_key key = {.k0 = 1, .k1 = 2};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->service = (struct service_conf){
		.name = (char *)"echo-udp",
		.protocol = PROTO_UDP,
		.access.otherwise = true,
		.source_prefix = {.ipv4 = 32, .ipv6 = 64},
		.udp = {.rate = RATE * 1000, .burst = BURST},
	};
	f->worker = (struct worker){.conf = &f->service, .log = &f->log};
	*state = f;
	return 0;
}

/* Make what the service says now. */
static struct dgram_guard *begin(struct fixture *f)
{
	size_t quotas = quotas_size(&f->service, 0), all = quotas + handshakes_size();

	f->memory = aligned_alloc(64, all);
	assert_non_null(f->memory);
	memset(f->memory, 0, all);
	f->worker.quotas = quotas_init(f->memory, &f->service, 0, &key);
	f->worker.handshakes = (struct handshakes *)(void *)((char *)f->memory + quotas);
	dgram_guard_init(&f->guard, &f->worker);
	f->guard.now = START;
	f->guard.dice = 88172645463325252u; /* the same lots each time */
	return &f->guard;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	acl_clear(&f->service.access);
	acl_clear(&f->service.exempted);
	free(f->memory);
	free(f);
	return 0;
}

static struct address from(const char *text)
{
	struct address a[2];
	const char *why;

	assert_int_equal(address_parse_ip(text, a, &why), 1);
	return a[0];
}

/* A datagram that is like no other. */
static enum counter ask(struct dgram_guard *g, const struct address *a)
{
	static uint64_t number;

	number++;
	return dgram_guard_ask(g, a, (const char *)&number, sizeof(number));
}

static void list(struct acl *a, const char *text, bool yes, bool otherwise)
{
	struct acl_rule rule = {.yes = yes};
	char why[PREFIX_WHY_MAX];

	assert_int_equal(prefix_parse(text, &rule.prefix, why), 0);
	assert_int_equal(acl_build(a, &rule, 1, otherwise), 0);
}

static void lists_come_first(void **state)
{
	struct fixture *f = *state;
	struct address good = from("192.0.2.1:4000"), bad = from("192.0.3.1:4000");
	struct address free_one = from("198.51.100.1:4000");
	struct dgram_guard *g;

	list(&f->service.access, "192.0.3.0/24", false, true);
	list(&f->service.exempted, "198.51.100.0/24", true, false);
	g = begin(f);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ask(g, &good), C_DATAGRAMS_OUT);
		assert_int_equal(ask(g, &bad), C_REFUSED_ACL);
	}
	for (int i = 0; i < 10 * BURST; i++) /* the same, too */
		assert_int_equal(dgram_guard_ask(g, &free_one, "same", 4), C_DATAGRAMS_OUT);
}

static void sources_are_prefixes(void **state)
{
	static const struct {
		const char *one, *other;
		bool same;
	} rows[] = {
		{"192.0.2.1:4000", "192.0.2.1:5000", true},
		{"192.0.2.1:4000", "192.0.2.2:4000", false},
		{"192.0.2.1:4000", "[::ffff:192.0.2.1]:4000", true},
		{"[2001:db8::1]:4000", "[2001:db8::ffff:1]:4000", true},
		{"[2001:db8::1]:4000", "[2001:db8:0:1::1]:4000", false},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct address one = from(rows[i].one), other = from(rows[i].other);
		struct dgram_guard *g = begin(f);
		unsigned left = 0;

		for (int k = 0; k < BURST; k++)
			assert_int_equal(ask(g, &one), C_DATAGRAMS_OUT);
		for (int k = 0; k < BURST; k++)
			left += ask(g, &other) == C_DATAGRAMS_OUT;
		if (rows[i].same)
			assert_in_range(left, 0, BURST / 20); /* overdrawn */
		else
			assert_int_equal(left, BURST);
		free(f->memory);
	}
	f->memory = NULL;
}

/* A flood in the victim's name: how many times the rate, how many datagrams at once, and from
 * which ports: those of OWN_PORT and behind it.  SHARE is what the victim must get at least of the
 * answers to its own. */
struct flood {
	double times;
	unsigned at_once, port, ports;
	double share;
};

/* FLOOD goes on for ten seconds, and the victim itself asks fifty times a second.  It gets no more
 * than the limit (1.25 times that would be allowed), and its share. */
static void flood(struct fixture *f, const struct flood *flood)
{
	enum { SECONDS = 10, OWN = 50 /* a second */, OWN_PORT = 5000 };
	struct address forged = from("203.0.113.7:0"), own = from("203.0.113.7:5000");
	struct dgram_guard *g = begin(f);
	double next = 0, step = SECOND * flood->at_once / (RATE * flood->times);
	unsigned answered = 0, victims = 0, n = 0;

	for (uint64_t us = 0; us < SECONDS * (uint64_t)SECOND; us++) {
		g->now = START + us;
		for (; next <= (double)us; next += step)
			for (unsigned i = 0; i < flood->at_once; i++) {
				unsigned port = OWN_PORT + flood->port + n++ % flood->ports;

				forged.in.sin_port = htons((uint16_t)port);
				answered += ask(g, &forged) == C_DATAGRAMS_OUT;
			}
		/* At odd moments: the victim has a clock of its own. */
		if (us % (SECOND / OWN) == 4000 + us / SECOND * 137)
			victims += ask(g, &own) == C_DATAGRAMS_OUT;
	}
	print_message(
		"a flood of %g times the limit, %u at once, of %u ports from %u on: the victim "
		"gets %.3f times the limit, and %u of its own %d\n",
		flood->times, flood->at_once, flood->ports, OWN_PORT + flood->port,
		(double)answered / (RATE * SECONDS), victims, SECONDS * OWN);
	assert_true(answered + victims <= RATE * SECONDS + 1.05 * BURST);
	if (flood->times > 1)
		assert_true(answered + victims >= 0.99 * RATE * SECONDS);
	assert_true(victims >= flood->share * SECONDS * OWN);
	free(f->memory);
	f->memory = NULL;
}

static void a_flood_neither_hurts_nor_silences_its_victim(void **state)
{
	static const struct flood rows[] = {
		/* another port than the victim's */
		{0.5, 1, 1, 1, 1.0},
		{1.001, 1, 1, 1, 1.0},
		{2, 1, 1, 1, 0.99},
		{10, 1, 1, 1, 0.99},
		{10, 10, 1, 1, 0.99},
		{10, 100, 1, 1, 0.7},
		{50, 50, 1, 1, 0.9},
		/* the very port, or all of them */
		{2, 2, 0, 1, 0.3},
		{10, 1, 0, 1, 0.05},
		{10, 10, 0, 1, 0.05},
		{2, 2, 0, 50000, 0.3},
		{10, 1, 0, 50000, 0.05},
		{10, 10, 0, 50000, 0.05},
		{50, 50, 0, 50000, 0.01},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		flood(*state, &rows[i]);
}

static void others_do_not_pay(void **state)
{
	struct fixture *f = *state;
	struct dgram_guard *g = begin(f);
	char text[64];

	for (unsigned i = 0; i < 5000; i++) {
		struct address victim = from("203.0.113.7:4000"), other;

		snprintf(text, sizeof(text), "198.51.%u.%u:4000", i / 250, i % 250);
		other = from(text);
		ask(g, &victim);
		assert_int_equal(ask(g, &other), C_DATAGRAMS_OUT);
	}
}

static void a_loop_ends(void **state)
{
	static const size_t sizes[] = {0, 1, 5, 63, 64, 65, 1000, 65507};
	static char data[65507];
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct address peer = from("192.0.2.1:4000"), port = from("192.0.2.1:4001");
		struct dgram_guard *g = begin(f);
		unsigned n = 0;

		while (dgram_guard_ask(g, &peer, data, sizes[i]) == C_DATAGRAMS_OUT && n < 1000) {
			n++;
			g->now += 2000; /* slower than the rate */
		}
		assert_int_equal(n, BREAKER_REPEATS);
		assert_int_equal(dgram_guard_ask(g, &peer, data, sizes[i]), C_REFUSED_LOOP);
		assert_int_equal(dgram_guard_ask(g, &port, data, sizes[i]), C_DATAGRAMS_OUT);
		assert_int_equal(ask(g, &peer), C_DATAGRAMS_OUT);
		free(f->memory);
	}
	f->memory = NULL;
}

/* What differs in its size, its beginning or its end is not the same. */
static void what_changes_is_no_loop(void **state)
{
	struct fixture *f = *state;
	struct address peer = from("192.0.2.1:4000");
	struct dgram_guard *g = begin(f);
	char data[1000] = {0};

	for (unsigned i = 0; i < 1000; i++) {
		memcpy(i % 2 ? data + 4 : data + 996, &i, sizeof(i));
		assert_int_equal(dgram_guard_ask(g, &peer, data, sizeof(data)), C_DATAGRAMS_OUT);
		g->now += 2000;
	}
	for (unsigned i = 0; i < 1000; i++) {
		assert_int_equal(dgram_guard_ask(g, &peer, data, i), C_DATAGRAMS_OUT);
		g->now += 2000;
	}
}

static void a_rate_of_0_has_no_limit_at_all(void **state)
{
	struct fixture *f = *state;
	struct address peer = from("192.0.2.1:4000");
	struct dgram_guard *g;

	f->service.udp.rate = 0;
	g = begin(f);
	for (int i = 0; i < 100000; i++)
		assert_int_equal(dgram_guard_ask(g, &peer, "same", 4), C_DATAGRAMS_OUT);
}

static void answers_who_has_shaken_hands(void **state)
{
	static const struct source_prefix what = {.ipv4 = 32, .ipv6 = 64};
	struct fixture *f = *state;
	struct address peer = from("192.0.2.1:4000"), other = from("192.0.2.2:4000");
	struct dgram_guard *g;
	struct prefix host, source;

	f->service.udp.require_tcp_first = true;
	g = begin(f);
	assert_int_equal(ask(g, &peer), C_REFUSED_NO_TCP);
	prefix_of(&peer, &host);
	source = quotas_source(&what, &host);
	handshakes_add(f->worker.handshakes, quotas_hash(&key, &source), START / 1000);
	assert_int_equal(ask(g, &peer), C_DATAGRAMS_OUT);
	assert_int_equal(ask(g, &other), C_REFUSED_NO_TCP);
	dgram_guard_begin(g);
	g->now = START + (HANDSHAKES_KEPT + 2) * (uint64_t)SECOND;
	assert_int_equal(ask(g, &peer), C_REFUSED_NO_TCP);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(lists_come_first),
		TEST(sources_are_prefixes),
		TEST(a_flood_neither_hurts_nor_silences_its_victim),
		TEST(others_do_not_pay),
		TEST(a_loop_ends),
		TEST(what_changes_is_no_loop),
		TEST(a_rate_of_0_has_no_limit_at_all),
		TEST(answers_who_has_shaken_hands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
