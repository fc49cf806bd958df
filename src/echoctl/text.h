/* SPDX-License-Identifier: ISC */
/* text.h - output for people: aligned columns, times, nothing that a terminal would obey. */
#ifndef ECHOCTL_TEXT_H
#define ECHOCTL_TEXT_H

#include <jansson.h>
#include <stddef.h>
#include <stdio.h>

/* Write TEXT (UTF-8; NULL is "-") with '?' for each control character. */
void text_put(FILE *out, const char *text);

/* The characters that text_put() writes. */
size_t text_width(const char *text);

/* "0.5 s", "13 s", "2 min 5 s", "3 h 12 min", "5 d 3 h" into BUF.  Returns BUF. */
char *text_duration(double seconds, char buf[32]);

/* "2026-11-23 02:57:07", local time, of seconds since the epoch.  Returns BUF. */
char *text_moment(double seconds, char buf[32]);

/* "1.2 MB" of bytes.  Returns BUF. */
char *text_bytes(double n, char buf[32]);

/* The string, or the number, under NAME of O; "" and 0 if there is none. */
const char *text_of(const json_t *o, const char *name);
double number_of(const json_t *o, const char *name);

/* Rows of cells, printed when all are known. */
struct table {
	size_t columns;
	unsigned right; /* mask of columns that are aligned to the right; bit 31: of all from
			* there on */
	char **cell;
	size_t n, room;
	int failed; /* no memory */
};

/* Add the next cell of the current row. */
__attribute__((format(printf, 2, 3))) void table_add(struct table *t, const char *fmt, ...);

/* Print each row behind INDENT spaces, and forget them. */
void table_print(struct table *t, int indent);

#endif
