/* SPDX-License-Identifier: ISC */
/* conf_scan.h - the tokens of a configuration, with includes followed. */
#ifndef ECHOD_CONF_SCAN_H
#define ECHOD_CONF_SCAN_H

#include "conf_text.h"

#include <stdint.h>

enum token_kind {
	TOKEN_END,
	TOKEN_BAD, /* complained about: stop */
	TOKEN_NAME,
	TOKEN_BOOL,
	TOKEN_INT,
	TOKEN_FLOAT,
	TOKEN_STRING,
	TOKEN_MARK /* one of ={}[]();, (':' is given as '=') */
};

struct token {
	enum token_kind kind;
	const char *text; /* as written, LEN bytes; lives as long as the conf_text */
	size_t len;
	int64_t number; /* of TOKEN_INT */
	struct place place;
};

/* A file that is being scanned. */
struct scan_level {
	size_t source; /* index in the conf_text */
	const char *at;
	unsigned line;
	bool line_start; /* only blanks before `at` on its line */
};

struct scanner {
	struct conf_text *text;
	struct complaints *complaints; /* or NULL */
	bool has_lines;
	const char *dir; /* what relative includes are relative to, with its slash */
	size_t dir_len;
	struct scan_level level[CONF_INCLUDE_DEPTH + 1];
	int depth; /* index of the level that is being read */
};

/* The next token into *T. */
void scan_next(struct scanner *s, struct token *t);

/* Complain at PLACE; "syntax error: " goes before the text if SYNTAX. */
__attribute__((format(printf, 4, 5))) void scan_complain(struct scanner *s, struct place place,
							 bool syntax, const char *fmt, ...);

#endif
