/* SPDX-License-Identifier: ISC */
/* The rows of the events, and the catalogue and the manual page against them. */
#include "event.h"

#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include <cmocka.h>

static char *read_text(const char *name)
{
	const char *srcdir = getenv("srcdir");
	char file[512], *text = NULL;
	size_t size = 0;
	FILE *f;

	snprintf(file, sizeof(file), "%s/%s", srcdir ? srcdir : ".", name);
	f = fopen(file, "r");
	if (!f)
		return NULL;
	assert_true(getdelim(&text, &size, '\0', f) > 0);
	fclose(f);
	return text;
}

/* The field that the journal, or a message's words, call by the LEN bytes at NAME. */
static int find(const char *name, size_t len, bool journal)
{
	for (int i = FIELD_NONE + 1; i < N_FIELDS; i++) {
		const char *is = journal ? event_fields[i].journal : event_fields[i].name;

		if (is && strlen(is) == len && memcmp(is, name, len) == 0)
			return i;
	}
	return FIELD_NONE;
}

static void test_fields(void **state)
{
	(void)state;
	for (int i = FIELD_NONE + 1; i < N_FIELDS; i++) {
		const struct event_field_row *row = &event_fields[i];

		assert_non_null(row->name);
		assert_int_equal(find(row->name, strlen(row->name), false), i);
		for (const char *p = row->journal ? row->journal : ""; *p; p++)
			assert_true(isupper((unsigned char)*p) || *p == '_');
		if (row->journal)
			assert_int_equal(find(row->journal, strlen(row->journal), true), i);
	}
}

/* Each row is whole; its words name fields that it carries. */
static void test_rows(void **state)
{
	(void)state;
	for (int i = EVENT_NONE + 1; i < N_EVENTS; i++) {
		const struct event_row *row = &event_rows[i];

		assert_non_null(row->name);
		assert_int_equal(strlen(row->id), 32);
		assert_int_equal(strspn(row->id, "0123456789abcdef"), 32);
		assert_in_range(row->level, LOG_ERR, LOG_DEBUG);
		for (int k = EVENT_NONE + 1; k < i; k++) {
			assert_string_not_equal(event_rows[k].id, row->id);
			assert_string_not_equal(event_rows[k].name, row->name);
		}
		for (const char *p = strchr(row->text, '@'); p; p = strchr(p, '@')) {
			size_t n = strcspn(++p, "@");

			assert_int_equal(p[n], '@');
			assert_true(row->fields >> find(p, n, false) & 1);
			p += n + 1;
		}
	}
}

/* May an entry of the catalogue for ROW name the LEN bytes at NAME? */
static bool carries(const struct event_row *row, const char *name, size_t len)
{
	int id = find(name, len, true);
	uint64_t pairs = UINT64_C(1) << FIELD_SETTINGS | UINT64_C(1) << FIELD_COUNTERS;

	return (id && row->fields >> id & 1) ||
	       (row->fields & pairs && strncmp(name, "ECHOD_", 6) == 0);
}

/* The catalogue has an entry for each row and no other, in order, with all headers; what it
 * names the record has. */
static void test_catalogue(void **state)
{
	static const char *const headers[] = {"\nSubject: ", "\nDefined-By: echod\n",
					      "\nSupport: ", "\nDocumentation: "};
	char *text = read_text("systemd/echod.catalog"), *p = text, id[64];

	(void)state;
	if (!text)
		skip();
	for (int i = EVENT_NONE + 1; i < N_EVENTS; i++) {
		char *next;

		snprintf(id, sizeof(id), "\n-- %s\n", event_rows[i].id);
		p = strstr(p, "\n-- ");
		if (!p || strncmp(p, id, strlen(id)) != 0)
			fail_msg("systemd/echod.catalog: %s %s has no entry, or not here",
				 event_rows[i].name, event_rows[i].id);
		p += strlen(id) - 1;
		next = strstr(p, "\n-- ");
		if (next)
			*next = '\0';
		for (size_t k = 0; k < sizeof(headers) / sizeof(headers[0]); k++)
			assert_non_null(strstr(p, headers[k]));
		assert_non_null(strstr(p, "\n\n"));
		for (char *at = strchr(p, '@'); at; at = strchr(at, '@')) {
			size_t n = strcspn(++at, "@");

			if (!carries(&event_rows[i], at, n))
				fail_msg("%s has no %.*s", event_rows[i].name, (int)n, at);
			at += n + 1;
		}
		if (next)
			*next = '\n';
	}
	assert_null(strstr(p, "\n-- "));
	free(text);
}

/* The manual page tells of each event its level, its number and its fields, and of each
 * field what it is. */
static void test_manual_page(void **state)
{
	static const char *const levels[] = {
		[LOG_ERR] = "error", [LOG_WARNING] = "warning", [LOG_NOTICE] = "notice",
		[LOG_INFO] = "info", [LOG_DEBUG] = "debug",
	};
	char *text = read_text("man/echod-journal.7"), *events, *fields, head[160];

	(void)state;
	if (!text)
		skip();
	fields = strstr(text, ".Sh FIELDS\n");
	events = strstr(text, ".Sh EVENTS\n");
	assert_true(fields && events && fields < events);
	for (int i = EVENT_NONE + 1; i < N_EVENTS; i++) {
		const struct event_row *row = &event_rows[i];
		char *p, *end;

		snprintf(head, sizeof(head), ".It Ic %s\nLevel %s;\n.Li %s .\n", row->name,
			 levels[row->level], row->id);
		p = strstr(events, head);
		if (!p)
			fail_msg("man/echod-journal.7: not there, or not so: %s", head);
		end = strstr(p + strlen(head) - 1, "\n.It ");
		end = end ? end : strstr(p, "\n.El");
		*end = '\0';
		for (int f = FIELD_NONE + 1; f < N_FIELDS; f++) {
			const char *name = event_fields[f].journal;
			bool said;

			snprintf(head, sizeof(head), "\n.Va %s ", name ? name : "");
			said = name && strstr(p, head);
			if ((said && !carries(row, name, strlen(name))) ||
			    (name && !said && row->fields >> f & 1))
				fail_msg("man/echod-journal.7: %s and %s", row->name, name);
		}
		*end = '\n';
	}
	for (int f = FIELD_NONE + 1; f < N_FIELDS; f++) {
		snprintf(head, sizeof(head), "\n.It Va %s\n",
			 event_fields[f].journal ? event_fields[f].journal : "MESSAGE");
		if (!strstr(fields, head))
			fail_msg("man/echod-journal.7 lacks %s", event_fields[f].journal);
	}
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_catalogue),
		cmocka_unit_test(test_manual_page),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
