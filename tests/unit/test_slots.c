/* SPDX-License-Identifier: ISC */
/* The table of connections: claims, limits, the dead. */
#include "slots.h"
#include "sources.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { N = 100, ME = 4711, OTHER = 4712 };

static struct slots table;

static int setup(void **state)
{
	void *at = mmap(NULL, slots_size(N), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
			0);

	if (at == MAP_FAILED)
		return -1;
	slots_init(&table, at, N, eventfd(0, EFD_NONBLOCK));
	*state = &table;
	return 0;
}

static int teardown(void **state)
{
	struct slots *s = *state;

	close(s->bell);
	return munmap(s->shared, slots_size(N));
}

static bool rang(const struct slots *s)
{
	uint64_t n;

	return read(s->bell, &n, sizeof(n)) == sizeof(n);
}

static void gives_each_slot_once_and_no_more(void **state)
{
	struct slots *s = *state;
	uint32_t hint = 37;
	bool seen[N] = {false};

	for (int i = 0; i < N; i++) {
		int64_t slot = slots_claim(s, ME, &hint);

		assert_in_range(slot, 0, N - 1);
		assert_false(seen[slot]);
		seen[slot] = true;
	}
	assert_int_equal(slots_claim(s, ME, &hint), -ENOSPC);
	assert_int_equal(slots_used(s), N);
}

static void a_freed_slot_can_be_claimed_again(void **state)
{
	struct slots *s = *state;
	uint32_t hint = 0;

	for (int i = 0; i < N; i++)
		slots_claim(s, ME, &hint);
	slots_release(s, 50);
	assert_int_equal(slots_claim(s, OTHER, &hint), 50);
}

static void the_bell_rings_for_those_who_wait_only(void **state)
{
	struct slots *s = *state;
	uint32_t hint = 0;

	for (int i = 0; i < N; i++)
		slots_claim(s, ME, &hint);
	slots_release(s, 3);
	assert_false(rang(s));
	assert_int_equal(slots_claim_or_wait(s, ME, &hint), 3);
	assert_int_equal(slots_claim_or_wait(s, ME, &hint), -ENOSPC);
	slots_release(s, 4);
	assert_true(rang(s));
	slots_release(s, 5);
	assert_false(rang(s));
}

static void the_dead_lose_theirs_and_nobody_else_does(void **state)
{
	struct slots *s = *state;
	uint32_t hint = 0;

	for (int i = 0; i < 10; i++)
		s->slot[slots_claim(s, i % 2 ? ME : OTHER, &hint)].since = 1;
	assert_int_equal(slots_free_owner(s, ME), 5);
	assert_int_equal(slots_used(s), 5);
	assert_int_equal(slots_free_owner(s, ME), 0);
	assert_int_equal(slots_free_owner(s, OTHER), 5);
}

/* Who dies between his claim and the end of his accept(2) has lost no connection. */
static void a_claim_alone_is_no_connection(void **state)
{
	struct slots *s = *state;
	uint32_t hint = 0;
	int64_t i = slots_claim(s, ME, &hint);

	s->slot[i].since = 1;
	slots_release(s, (uint32_t)i);
	hint = (uint32_t)i;
	assert_int_equal(slots_claim(s, ME, &hint), i);
	assert_int_equal(slots_free_owner(s, ME), 0);
	assert_int_equal(slots_used(s), 0);
}

static void a_death_rings_too(void **state)
{
	struct slots *s = *state;
	uint32_t hint = 0;

	for (int i = 0; i < N; i++)
		slots_claim(s, ME, &hint);
	slots_claim_or_wait(s, OTHER, &hint);
	slots_free_owner(s, ME);
	assert_true(rang(s));
}

/* A child that was quick has given its slot back already: its parent must not take it. */
static void only_the_owner_can_give(void **state)
{
	struct slots *s = *state;
	uint32_t hint = 0;
	int64_t i = slots_claim(s, ME, &hint);

	s->slot[i].since = 1;
	assert_true(slots_give(s, (uint32_t)i, ME, OTHER));
	assert_true(slots_give(s, (uint32_t)i, ME, OTHER));
	assert_int_equal(slots_free_owner(s, OTHER), 1);
	assert_false(slots_give(s, (uint32_t)i, ME, OTHER));
	assert_int_equal(slots_used(s), 0);
}

static void remembers_peers_of_each_family(void **state)
{
	static const char *const peers[] = {"192.0.2.1:12345", "[2001:db8::1]:7"};
	struct slots *s = *state;
	struct address in[2], out;
	const char *why;

	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(address_parse_ip(peers[i], in, &why), 1);
		slot_open(&s->slot[i], &in[0], 99);
		slot_peer(&s->slot[i], &out);
		assert_true(address_equal(&in[0], &out));
		assert_int_equal(s->slot[i].since, 99);
	}
	in[0] = (struct address){.len = sizeof(sa_family_t)};
	in[0].sa.sa_family = AF_UNIX;
	slot_open(&s->slot[2], &in[0], 1);
	slot_peer(&s->slot[2], &out);
	assert_int_equal(out.sa.sa_family, AF_UNIX);
}

/* Processes that claim and release at the same time never hold one slot together, and the
 * table is empty when all are gone, even those that were killed. */
static void holds_between_processes(void **state)
{
	enum { PROCESSES = 4, ROUNDS = 20000 };
	struct slots *s = *state;
	pid_t pids[PROCESSES];
	int status;

	for (int p = 0; p < PROCESSES; p++) {
		pids[p] = fork();
		if (pids[p] > 0)
			continue;
		uint32_t hint = 0;

		for (int i = 0; i < ROUNDS; i++) {
			int64_t slot = slots_claim(s, getpid(), &hint);

			if (slot < 0)
				continue;
			s->slot[slot].since = (uint64_t)getpid();
			if (s->slot[slot].since != (uint64_t)getpid())
				_exit(1);
			if (i % 7)
				slots_release(s, (uint32_t)slot);
			if (i % 500 == 0)
				slots_free_owner(s, getpid());
		}
		_exit(0);
	}
	for (int p = 0; p < PROCESSES; p++) {
		assert_int_equal(waitpid(pids[p], &status, 0), pids[p]);
		assert_int_equal(status, 0);
		slots_free_owner(s, pids[p]);
	}
	assert_int_equal(slots_used(s), 0);
}

static void patience_ends_as_slots_do(void **state)
{
	static const struct {
		uint32_t crowd, timeout, patience;
	} rows[] = {
		{0, 300000, 300000},  {65, 300000, 300000}, {66, 300000, 292286},
		{82, 300000, 168858}, {100, 300000, 30000}, {120, 300000, 30000},
		{100, 5000, 1000},    {100, 500, 500},      {100, UINT32_MAX, 429496730},
	};
	struct slots *s = *state;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		s->shared->crowd = rows[i].crowd;
		assert_int_equal(slots_patience(s, rows[i].timeout), rows[i].patience);
	}
}

static void patience_only_shrinks(void **state)
{
	struct slots *s = *state;
	uint32_t before = UINT32_MAX;

	for (s->shared->crowd = 0; s->shared->crowd <= N; s->shared->crowd++) {
		uint32_t now = slots_patience(s, 60000);

		assert_true(now <= before && now >= 6000);
		before = now;
	}
	assert_int_equal(before, 6000);
}

static struct slots *watched;

/* As another process does it, not as this thread: it may hold a lock of ThreadSanitizer. */
static void free_one(int number)
{
	(void)number;
	mprotect(watched->shared, slots_size(N), PROT_READ | PROT_WRITE);
	*(volatile pid_t *)&watched->owner[7] = 0;
}

static void give_one(int number)
{
	(void)number;
	mprotect(watched->shared, slots_size(N), PROT_READ | PROT_WRITE);
	*(volatile pid_t *)&watched->owner[7] = OTHER;
}

/* A child takes its slot over from its dead parent just before the first store to free that: then
 * it is the child's. */
static void what_is_given_is_not_freed(void **state)
{
	struct sigaction on_store = {.sa_handler = give_one, .sa_flags = (int)SA_RESETHAND};
	uint32_t hint = 7;

	watched = *state;
	assert_int_equal(slots_claim(watched, ME, &hint), 7);
	sigaction(SIGSEGV, &on_store, NULL);
	mprotect(watched->shared, slots_size(N), PROT_READ);
	assert_int_equal(slots_free_owner(watched, ME), 0);
	assert_int_equal(watched->owner[7], OTHER);
}

/* A slot is freed just before the first store, which says that somebody waits: for nobody is
 * rung then, so who begins to wait must look again. */
static void who_begins_to_wait_looks_again(void **state)
{
	struct sigaction on_store = {.sa_handler = free_one, .sa_flags = (int)SA_RESETHAND};
	uint32_t hint = 0;

	watched = *state;
	for (int i = 0; i < N; i++)
		slots_claim(watched, ME, &hint);
	sigaction(SIGSEGV, &on_store, NULL);
	assert_int_equal(mprotect(watched->shared, slots_size(N), PROT_READ), 0);
	assert_int_equal(slots_claim_or_wait(watched, ME, &hint), 7);
	signal(SIGSEGV, SIG_DFL);
	assert_false(rang(watched));
}

/* Whoever has broken into a worker can write all of what is shared; the supervisor reads it. */
static void believes_nothing_that_is_shared(void **state)
{
	struct slots *s = *state;
	size_t size = sources_size(N);
	char *memory = mmap(NULL, size + 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			    -1, 0);

	assert_true(memory != MAP_FAILED);
	s->sources = sources_init(memory, N);
	for (int fill = 1; fill < 256; fill += 127) {
		pid_t owner;

		memset(s->shared, fill, slots_size(N));
		memset(memory, fill, size + 4096);
		owner = s->owner[0];
		assert_int_equal(slots_used(s), N);
		assert_int_equal(slots_free_owner(s, owner), N);
		assert_int_equal(slots_used(s), 0);
		for (size_t i = size; i < size + 4096; i++)
			assert_int_equal((unsigned char)memory[i], fill);
	}
	munmap(memory, size + 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(gives_each_slot_once_and_no_more, setup, teardown),
		cmocka_unit_test_setup_teardown(a_freed_slot_can_be_claimed_again, setup, teardown),
		cmocka_unit_test_setup_teardown(the_bell_rings_for_those_who_wait_only, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_dead_lose_theirs_and_nobody_else_does, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_claim_alone_is_no_connection, setup, teardown),
		cmocka_unit_test_setup_teardown(a_death_rings_too, setup, teardown),
		cmocka_unit_test_setup_teardown(only_the_owner_can_give, setup, teardown),
		cmocka_unit_test_setup_teardown(remembers_peers_of_each_family, setup, teardown),
		cmocka_unit_test_setup_teardown(holds_between_processes, setup, teardown),
		cmocka_unit_test_setup_teardown(patience_ends_as_slots_do, setup, teardown),
		cmocka_unit_test_setup_teardown(patience_only_shrinks, setup, teardown),
		cmocka_unit_test_setup_teardown(believes_nothing_that_is_shared, setup, teardown),
		cmocka_unit_test_setup_teardown(who_begins_to_wait_looks_again, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_given_is_not_freed, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
