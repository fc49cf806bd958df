/* SPDX-License-Identifier: ISC */
/* Nothing that comes from the daemon is trusted to be harmless on a terminal: a file's name
 * may hold anything. */
#include "text.h"

#include "size.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Length of the control character at P: C0, DEL, and C1 in UTF-8; 0 if it is none. */
static int control_length(const char *p)
{
	unsigned char c = (unsigned char)p[0], d = (unsigned char)p[1];

	if (c < 0x20 || c == 0x7f)
		return 1;
	return c == 0xc2 && d >= 0x80 && d < 0xa0 ? 2 : 0;
}

void text_put(FILE *out, const char *text)
{
	const char *p = text ? text : "-";

	while (*p) {
		int n = control_length(p);

		fputc(n ? '?' : *p, out);
		p += n ? n : 1;
	}
}

size_t text_width(const char *text)
{
	const char *p = text ? text : "-";
	size_t width = 0;

	while (*p) {
		int n = control_length(p);

		width += n || ((unsigned char)*p & 0xc0) != 0x80; /* not a byte that goes on */
		p += n ? n : 1;
	}
	return width;
}

char *text_duration(double seconds, char buf[32])
{
	static const struct {
		const char *name;
		long long seconds;
	} units[] = {{"d", 86400}, {"h", 3600}, {"min", 60}, {"s", 1}};
	long long s;
	size_t i = 0;

	if (!(seconds >= 0 && seconds < 1e15))
		seconds = 0;
	if (seconds < 9.95) {
		snprintf(buf, 32, "%.1f s", seconds);
		return buf;
	}
	s = (long long)(seconds + 0.5);
	while (s < units[i].seconds)
		i++;
	if (i == 3 || s % units[i].seconds / units[i + 1].seconds == 0)
		snprintf(buf, 32, "%lld %s", s / units[i].seconds, units[i].name);
	else
		snprintf(buf, 32, "%lld %s %lld %s", s / units[i].seconds, units[i].name,
			 s % units[i].seconds / units[i + 1].seconds, units[i + 1].name);
	return buf;
}

char *text_moment(double seconds, char buf[32])
{
	time_t t = seconds > 0 && seconds < 1e12 ? (time_t)seconds : 0;
	struct tm tm;

	if (!localtime_r(&t, &tm) || strftime(buf, 32, "%Y-%m-%d %H:%M:%S", &tm) == 0)
		buf[0] = '\0';
	return buf;
}

char *text_bytes(double n, char buf[32])
{
	char number[SIZE_TEXT_MAX];
	size_t digits;

	size_short(n, number);
	digits = strspn(number, "0123456789.");
	snprintf(buf, 32, "%.*s %.8sB", (int)digits, number, number + digits);
	return buf;
}

const char *text_of(const json_t *o, const char *name)
{
	const char *text = json_string_value(json_object_get(o, name));

	return text ? text : "";
}

double number_of(const json_t *o, const char *name)
{
	return json_number_value(json_object_get(o, name));
}

void table_add(struct table *t, const char *fmt, ...)
{
	char *text = NULL;
	va_list ap;

	if (t->n == t->room && !t->failed) {
		size_t room = t->room ? 2 * t->room : 64;
		char **grown = reallocarray(t->cell, room, sizeof(*grown));

		t->failed = !grown;
		if (grown) {
			t->cell = grown;
			t->room = room;
		}
	}
	va_start(ap, fmt);
	if (t->failed || vasprintf(&text, fmt, ap) < 0)
		t->failed = 1;
	else
		t->cell[t->n++] = text;
	va_end(ap);
}

static size_t column_width(const struct table *t, size_t column)
{
	size_t width = 0;

	for (size_t i = column; i < t->n; i += t->columns)
		if (text_width(t->cell[i]) > width)
			width = text_width(t->cell[i]);
	return width;
}

/* Row I..., without spaces at its end. */
static void print_row(const struct table *t, size_t i, const size_t *width)
{
	size_t end = t->columns;

	while (end > 0 && t->cell[i + end - 1][0] == '\0')
		end--;
	for (size_t c = 0; c < end; c++) {
		bool right = t->right >> (c < 31 ? c : 31) & 1;
		int pad = (int)(width[c] - text_width(t->cell[i + c]));

		printf("%s%*s", c ? "  " : "", right ? pad : 0, "");
		text_put(stdout, t->cell[i + c]);
		printf("%*s", right || c + 1 == end ? 0 : pad, "");
	}
	putchar('\n');
}

void table_print(struct table *t, int indent)
{
	size_t *width = calloc(t->columns, sizeof(*width));

	for (size_t c = 0; width && c < t->columns; c++)
		width[c] = column_width(t, c);
	for (size_t i = 0; width && !t->failed && i + t->columns <= t->n; i += t->columns) {
		printf("%*s", indent, "");
		print_row(t, i, width);
	}
	if (!width || t->failed)
		fputs("echoctl: out of memory\n", stderr);
	for (size_t i = 0; i < t->n; i++)
		free(t->cell[i]);
	free(t->cell);
	free(width);
	*t = (struct table){.columns = t->columns, .right = t->right};
}
