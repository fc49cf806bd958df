/* SPDX-License-Identifier: ISC */
/* The pattern, and that every kind of damage to it is named, where it is. */
#include "echoc/damage.h"
#include "echoc/pattern.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SIZE = 65536 };
static const struct damage_world world = {.first = 1, .end = 1001, .limit = 1 << 30};

/* Bytes OFFSET to OFFSET + LEN - 1 of STREAM to P. */
static void put(uint8_t *p, uint32_t stream, uint64_t offset, size_t len)
{
	for (size_t i = 0; i < len; i++)
		p[i] = pattern_byte(stream, offset + i);
}

static struct damage find(const uint8_t *got, size_t len, uint64_t offset)
{
	return damage_find(got, len, 7, offset, 1 << 20, &world);
}

static void fill_and_check_agree(void **state)
{
	static uint64_t words[SIZE / 8 + 2];
	const size_t lens[] = {0, 1, 7, 8, 9, 63, 64, 65, 4099};

	(void)state;
	for (uint64_t offset = 0; offset < 17; offset++) {
		for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
			uint8_t *p = (uint8_t *)words + (offset & 7);

			pattern_fill(words, 3, offset, lens[i]);
			for (size_t k = 0; k < lens[i]; k++)
				assert_int_equal(p[k], pattern_byte(3, offset + k));
			assert_true(pattern_check(words, 3, offset, lens[i]));
			for (size_t k = 0; k < lens[i]; k++) {
				p[k] ^= 0x10;
				assert_false(pattern_check(words, 3, offset, lens[i]));
				p[k] ^= 0x10;
			}
		}
	}
}

static void a_word_tells_its_place(void **state)
{
	const uint64_t places[] = {0, 8, 40960, (1ULL << 34), PATTERN_PERIOD - 8};
	const uint32_t streams[] = {1, 9, 0x7fffffff};
	uint8_t word[8];

	(void)state;
	for (size_t i = 0; i < 5; i++) {
		for (size_t k = 0; k < 3; k++) {
			uint64_t offset;
			uint32_t stream;

			put(word, streams[k], places[i], 8);
			pattern_locate(word, &stream, &offset);
			assert_int_equal(stream, streams[k]);
			assert_true(offset == places[i]);
		}
	}
}

static void streams_differ_in_every_place(void **state)
{
	int same = 0;

	(void)state;
	for (uint64_t i = 0; i < SIZE; i++)
		same += pattern_byte(7, i) == pattern_byte(8, i);
	assert_in_range(same, 0, SIZE / 256 * 2); /* chance gives SIZE / 256 */
}

static void nothing_is_wrong(void **state)
{
	uint8_t *got = malloc(SIZE);

	(void)state;
	put(got, 7, 12345, SIZE);
	assert_int_equal(find(got, SIZE, 12345).kind, DAMAGE_NONE);
	free(got);
}

static void cut_at_2048(void **state)
{
	uint8_t got[4096];
	char text[DAMAGE_TEXT_MAX];
	struct damage d;

	(void)state;
	put(got, 7, 0, 2048);
	put(got + 2048, 7, 4096, 2048);
	d = find(got, sizeof(got), 0);
	assert_int_equal(d.kind, DAMAGE_CUT);
	assert_int_equal(d.at, 2048);
	assert_int_equal(d.length, 2048);
	d.message_size = 4096;
	assert_string_equal(damage_text(&d, text),
			    "bytes 2048 to 4095 of stream 7 are missing: a message of 4096 was cut "
			    "at 2048");
}

static void cuts_are_found_everywhere(void **state)
{
	uint8_t got[512];

	(void)state;
	for (size_t at = 0; at < 256; at++) {
		for (size_t gone = 1; gone < 40; gone += 3) {
			struct damage d;

			put(got, 7, 1000, at);
			put(got + at, 7, 1000 + at + gone, sizeof(got) - at);
			d = find(got, sizeof(got), 1000);
			assert_int_equal(d.kind, DAMAGE_CUT);
			assert_int_equal(d.length, gone);
			/* Equal bytes at the edge may move it, by chance. */
			assert_in_range(d.at, 1000 + at - (at < 3 ? at : 3), 1000 + at + 3);
		}
	}
}

static void byte_40961_belongs_to_stream_9(void **state)
{
	uint8_t *got = malloc(SIZE);
	char text[DAMAGE_TEXT_MAX];
	struct damage d;

	(void)state;
	put(got, 7, 0, SIZE);
	put(got + 40961, 9, 123, 1000);
	d = find(got, SIZE, 0);
	assert_int_equal(d.kind, DAMAGE_FOREIGN);
	assert_int_equal(d.at, 40961);
	assert_int_equal(d.other_stream, 9);
	assert_int_equal(d.other_at, 123);
	assert_string_equal(damage_text(&d, text),
			    "byte 40961 of stream 7 belongs to stream 9 (its byte 123; 1000 "
			    "bytes)");
	free(got);
}

static void duplicated(void **state)
{
	uint8_t got[4096];
	struct damage d;

	(void)state;
	put(got, 7, 0, 1448);
	put(got + 1448, 7, 0, 1448);
	put(got + 2896, 7, 1448, 1200);
	d = find(got, sizeof(got), 0);
	assert_int_equal(d.kind, DAMAGE_DUPLICATED);
	assert_int_equal(d.at, 1448);
	assert_int_equal(d.other_at, 0);
	assert_int_equal(d.length, 1448);
}

static void duplicated_behind_the_last_byte(void **state)
{
	uint8_t got[128];
	struct damage d;

	(void)state;
	put(got, 7, 0, 64);
	put(got + 64, 7, 0, 64);
	d = damage_find(got, sizeof(got), 7, 0, 64, &world);
	assert_int_equal(d.kind, DAMAGE_DUPLICATED);
	assert_int_equal(d.at, 64);
	assert_int_equal(d.length, 64);
}

static void reordered(void **state)
{
	uint8_t got[4096];
	struct damage d;

	(void)state;
	put(got, 7, 0, 1024);
	put(got + 1024, 7, 2048, 1024);
	put(got + 2048, 7, 1024, 1024);
	put(got + 3072, 7, 3072, 1024);
	d = find(got, sizeof(got), 0);
	assert_int_equal(d.kind, DAMAGE_REORDERED);
	assert_int_equal(d.at, 1024);
	assert_int_equal(d.other_at, 2048);
	assert_int_equal(d.length, 1024);
}

static void zeroed(void **state)
{
	uint8_t got[4096];
	struct damage d;

	(void)state;
	put(got, 7, 0, sizeof(got));
	memset(got + 1024, 0, 512);
	d = find(got, sizeof(got), 0);
	assert_int_equal(d.kind, DAMAGE_ZEROED);
	assert_int_equal(d.at, 1024);
	assert_in_range(d.length, 510, 514);
	memset(got + 1024, 0, sizeof(got) - 1024); /* to the end */
	d = find(got, sizeof(got), 0);
	assert_int_equal(d.kind, DAMAGE_ZEROED);
	assert_int_equal(d.length, sizeof(got) - 1024);
}

static void changed(void **state)
{
	uint8_t got[256];
	struct damage d;

	(void)state;
	put(got, 7, 0, sizeof(got));
	got[100] ^= 1;
	d = find(got, sizeof(got), 0);
	assert_int_equal(d.kind, DAMAGE_CHANGED);
	assert_int_equal(d.at, 100);
	assert_int_equal(d.length, 1);
	assert_int_equal(d.want, pattern_byte(7, 100));
	assert_int_equal(d.got, pattern_byte(7, 100) ^ 1);
}

static void more_than_was_sent(void **state)
{
	uint8_t got[68];
	struct damage d;

	(void)state;
	put(got, 7, 0, 64);
	memcpy(got + 64, "\1\2\3\4", 4);
	d = damage_find(got, sizeof(got), 7, 0, 64, &world);
	assert_int_equal(d.kind, DAMAGE_EXTRA);
	assert_int_equal(d.at, 64);
	assert_int_equal(d.length, 4);
}

/* Chance bytes must not be taken for a stream, nor anything crash. */
static void noise(void **state)
{
	uint64_t seed = 862;
	uint8_t got[300];

	(void)state;
	for (int round = 0; round < 2000; round++) {
		size_t len = 1 + (size_t)round % sizeof(got);
		struct damage d;

		for (size_t i = 0; i < len; i++) {
			seed ^= seed << 13;
			seed ^= seed >> 7;
			seed ^= seed << 17;
			got[i] = (uint8_t)(seed >> 32);
		}
		d = find(got, len, 5);
		if (len > 8)
			assert_true(d.kind == DAMAGE_CHANGED || d.kind == DAMAGE_ZEROED);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fill_and_check_agree),
		cmocka_unit_test(a_word_tells_its_place),
		cmocka_unit_test(streams_differ_in_every_place),
		cmocka_unit_test(nothing_is_wrong),
		cmocka_unit_test(cut_at_2048),
		cmocka_unit_test(cuts_are_found_everywhere),
		cmocka_unit_test(byte_40961_belongs_to_stream_9),
		cmocka_unit_test(duplicated),
		cmocka_unit_test(duplicated_behind_the_last_byte),
		cmocka_unit_test(reordered),
		cmocka_unit_test(zeroed),
		cmocka_unit_test(changed),
		cmocka_unit_test(more_than_was_sent),
		cmocka_unit_test(noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
