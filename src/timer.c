/* SPDX-License-Identifier: ISC */
/* A timing wheel of two levels (Varghese and Lauck, 1987): 256 slots of one tick, 256 of
 * 256 ticks, 17 minutes in all; what is due later is put at the end and fires early. */
#include "timer.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

enum { MASK = WHEEL_SLOTS - 1, LEVEL1 = WHEEL_SLOTS, HORIZON = WHEEL_SLOTS * (WHEEL_SLOTS - 1) };

uint64_t timer_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

uint64_t timer_micros(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

void wheel_init(struct wheel *w, uint64_t now)
{
	*w = (struct wheel){.tick = now / WHEEL_TICK};
	for (int level = 0; level < 2; level++)
		for (int i = 0; i < WHEEL_SLOTS; i++) {
			struct timer *head = &w->slots[level][i];

			head->prev = head->next = head;
		}
}

/* Put T, whose due is set and not past, where it belongs as seen from w->tick. */
static void place(struct wheel *w, struct timer *t)
{
	uint64_t ahead = t->due - w->tick;
	int level = ahead >= LEVEL1;
	unsigned i = (unsigned)(level ? t->due / WHEEL_SLOTS : t->due) & MASK;
	struct timer *head = &w->slots[level][i];

	t->prev = head->prev;
	t->next = head;
	head->prev->next = t;
	head->prev = t;
	w->used[level][i / 64] |= UINT64_C(1) << (i % 64);
}

void wheel_add(struct wheel *w, struct timer *t, uint64_t due)
{
	assert(!t->next);
	t->due = (due + WHEEL_TICK - 1) / WHEEL_TICK;
	if (t->due <= w->tick)
		t->due = w->tick + 1;
	if (t->due - w->tick > HORIZON)
		t->due = w->tick + HORIZON;
	place(w, t);
	w->count++;
}

static void unlink_timer(struct timer *t)
{
	t->prev->next = t->next;
	t->next->prev = t->prev;
	t->prev = t->next = NULL;
}

void wheel_remove(struct wheel *w, struct timer *t)
{
	if (!t->next)
		return;
	unlink_timer(t); /* its slot's bit may stay: at worst one wait is too short */
	w->count--;
}

/* Spread the slot of 256 ticks that begins now over the slots of one tick. */
static void cascade(struct wheel *w)
{
	unsigned i = (unsigned)(w->tick / WHEEL_SLOTS) & MASK;
	struct timer *head = &w->slots[1][i];

	w->used[1][i / 64] &= ~(UINT64_C(1) << (i % 64));
	while (head->next != head) {
		struct timer *t = head->next;

		unlink_timer(t);
		place(w, t);
	}
}

void wheel_advance(struct wheel *w, uint64_t now, void (*fire)(struct timer *t, void *arg),
		   void *arg)
{
	uint64_t target = now / WHEEL_TICK;

	while (w->tick < target) {
		if (w->count == 0) {
			w->tick = target;
			memset(w->used, 0, sizeof(w->used));
			return;
		}
		w->tick++;
		if ((w->tick & MASK) == 0)
			cascade(w);

		unsigned i = (unsigned)w->tick & MASK;
		struct timer *head = &w->slots[0][i];

		w->used[0][i / 64] &= ~(UINT64_C(1) << (i % 64));
		while (head->next != head) {
			struct timer *t = head->next;

			unlink_timer(t);
			w->count--;
			fire(t, arg);
		}
	}
}

/* The first used slot of LEVEL after FROM, as a distance 1 to 256; 0 if there is none. */
static unsigned distance(const struct wheel *w, int level, uint64_t from)
{
	for (unsigned d = 1; d <= WHEEL_SLOTS;) {
		unsigned i = (unsigned)(from + d) & MASK;
		uint64_t word = w->used[level][i / 64] >> (i % 64);

		if (word)
			return d + (unsigned)__builtin_ctzll(word);
		d += 64 - i % 64;
	}
	return 0;
}

int wheel_wait(const struct wheel *w, uint64_t now)
{
	unsigned soon, later;
	uint64_t tick = UINT64_MAX, ms;

	if (w->count == 0)
		return -1;
	soon = distance(w, 0, w->tick);
	later = distance(w, 1, w->tick / WHEEL_SLOTS);
	if (soon > 0)
		tick = w->tick + soon;
	if (later > 0 && (w->tick / WHEEL_SLOTS + later) * WHEEL_SLOTS < tick)
		tick = (w->tick / WHEEL_SLOTS + later) * WHEEL_SLOTS;
	ms = tick * WHEEL_TICK;
	return ms <= now ? 0 : (int)(ms - now);
}
