/* SPDX-License-Identifier: ISC */
/* The tokens of libconfig's language, as far as its versions 1.5 and 1.7 read them alike.
 * What they read differently (010, 0b1, a number too large for its type, escapes that one
 * knows) is refused with a reason rather than understood in one of two ways. */
#include "conf_scan.h"

#include "conf_node.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct scan_level *top(struct scanner *s)
{
	return &s->level[s->depth];
}

static struct place here(struct scanner *s)
{
	const struct scan_level *l = top(s);

	return (struct place){.file = s->text->source[l->source].name,
			      .line = s->has_lines ? l->line : 0};
}

void scan_complain(struct scanner *s, struct place place, bool syntax, const char *fmt, ...)
{
	va_list ap;
	char *text = NULL;
	struct conf_node n = {.file = place.file, .line = place.line};

	if (!s->complaints)
		return;
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	complain(s->complaints, &n, "%s%s", syntax ? "syntax error: " : "",
		 text ? text : "out of memory");
	free(text);
}

static bool is_name(char c, bool first)
{
	return isalpha((unsigned char)c) || c == '*' ||
	       (!first && (isdigit((unsigned char)c) || c == '-' || c == '_'));
}

/* Skip a comment that begins at L->at.  False if it does not end. */
static bool skip_comment(struct scan_level *l)
{
	if (l->at[0] == '#' || l->at[1] == '/') {
		l->at += strcspn(l->at, "\n");
		return true;
	}
	for (l->at += 2; l->at[0] != '\0'; l->at++) {
		if (l->at[0] == '*' && l->at[1] == '/') {
			l->at += 2;
			return true;
		}
		if (l->at[0] == '\n')
			l->line++;
	}
	return false;
}

/* Skip blanks and comments.  False if a comment does not end. */
static bool skip(struct scanner *s)
{
	struct scan_level *l = top(s);

	for (;;) {
		struct place begin = here(s);

		if (*l->at == '\n') {
			l->line++;
			l->line_start = true;
			l->at++;
		} else if (*l->at == ' ' || *l->at == '\t' || *l->at == '\r' || *l->at == '\f') {
			l->at++;
		} else if (*l->at == '#' ||
			   (*l->at == '/' && (l->at[1] == '/' || l->at[1] == '*'))) {
			l->line_start = false;
			if (skip_comment(l))
				continue;
			scan_complain(s, begin, true, "the comment that begins here does not end");
			return false;
		} else {
			return true;
		}
	}
}

/* The path in the quotes at *AT, allocated; NULL if there is none that is well written. */
static char *include_path(const char **at)
{
	const char *p = *at + strlen("@include"), *end;

	if (*p != ' ' && *p != '\t')
		return NULL;
	p += strspn(p, " \t");
	if (*p != '"')
		return NULL;
	p++;
	end = p + strcspn(p, "\"\\\n");
	if (*end != '"' || end == p)
		return NULL;
	*at = end + 1;
	return strndup(p, (size_t)(end - p));
}

/* Why the file called NAME, just read as the last source, may not be included; or NULL. */
static const char *refuse_include(const struct scanner *s)
{
	const struct conf_source_text *added = &s->text->source[s->text->n_sources - 1];

	for (int i = 0; i <= s->depth; i++) {
		const struct conf_source_text *open = &s->text->source[s->level[i].source];

		if (open->device == added->device && open->inode == added->inode)
			return "includes itself";
	}
	return NULL;
}

/* Read the file of PATH as a further source.  NULL, or why not. */
static const char *add_source(struct scanner *s, const char *path)
{
	struct conf_text *t = s->text;
	struct conf_source_text new = {0};
	const char *why = "out of memory";
	int dir_len = path[0] == '/' ? 0 : (int)s->dir_len;
	int r;

	if (s->depth == CONF_INCLUDE_DEPTH)
		return "is nested more than 10 deep";
	if (t->n_sources > CONF_INCLUDES_MAX)
		return "is one include too many (100)";
	if (asprintf(&new.name, "%.*s%s", dir_len, s->dir, path) < 0)
		return why;
	r = conf_read(new.name, CONF_BYTES_MAX - t->bytes, &new, &why);
	if (r < 0) {
		if (s->complaints && r == -EAGAIN)
			s->complaints->shortage = true;
		free(new.name);
		return why;
	}
	/* Room for all was made at the start: places point at the names. */
	t->source[t->n_sources++] = new;
	t->bytes += new.len;
	return refuse_include(s);
}

/* Follow the @include at the scanner's place.  False if it is wrong. */
static bool include(struct scanner *s)
{
	struct scan_level *l = top(s);
	const char *why;
	char *path;

	if (!l->line_start || !s->has_lines || strncmp(l->at, "@include", 8) != 0) {
		scan_complain(s, here(s), true,
			      "'@' begins nothing but an @include on a line of its own");
		return false;
	}
	path = include_path(&l->at);
	if (!path) {
		scan_complain(s, here(s), true, "an include is written @include \"FILE\"");
		return false;
	}
	why = add_source(s, path);
	if (why)
		scan_complain(s, here(s), false, "@include \"%s\": %s", path, why);
	free(path);
	if (why)
		return false;
	l->line_start = false;
	s->level[++s->depth] = (struct scan_level){
		.source = s->text->n_sources - 1,
		.at = s->text->source[s->text->n_sources - 1].data,
		.line = 1,
		.line_start = true,
	};
	return true;
}

/* A string's end after the quote at AT; NULL if it has none on its line. */
static const char *string_end(struct scanner *s, const char *at, struct token *t)
{
	for (at++; *at != '"'; at++) {
		if (*at == '\0' || *at == '\n') {
			scan_complain(s, t->place, true, "a string does not end on its line");
			return NULL;
		}
		if (*at != '\\')
			continue;
		at++;
		if (*at == 'x' && isxdigit((unsigned char)at[1]) &&
		    isxdigit((unsigned char)at[2]) && strncmp(at + 1, "00", 2) != 0)
			at += 2;
		else if (*at == '\0' || !strchr("\\\"nrtf", *at)) {
			scan_complain(s, t->place, true,
				      "a backslash in a string begins one of "
				      "\\\\ \\\" \\n \\r \\t \\f \\xHH (not \\x00)");
			return NULL;
		}
	}
	return at + 1;
}

/* The kind of the number of LEN bytes at P, TOKEN_BAD if it is none.  *NUMBER is set for
 * integers, *TOO_LARGE if it is one that no integer can be. */
static enum token_kind number_kind(const char *p, size_t len, int64_t *number, bool *too_large)
{
	char copy[64];
	size_t digits, sign = p[0] == '-' || p[0] == '+';
	bool hex = len > 2 && p[0] == '0' && (p[1] == 'x' || p[1] == 'X');
	char *end;

	if (len >= sizeof(copy))
		return TOKEN_BAD;
	memcpy(copy, p, len);
	copy[len] = '\0';
	digits = hex ? 2 + strspn(copy + 2, "0123456789abcdefABCDEF")
		     : sign + strspn(copy + sign, "0123456789");
	if (digits > (hex ? 2 : sign) && (copy[digits] == '\0' || strcmp(copy + digits, "L") == 0 ||
					  strcmp(copy + digits, "LL") == 0)) {
		errno = 0;
		*number = strtoll(copy, NULL, hex ? 16 : 10);
		*too_large = errno != 0;
		return *too_large ? TOKEN_BAD : TOKEN_INT;
	}
	if (hex || !strpbrk(copy, "0123456789") || copy[strspn(copy, "+-.0123456789eE")] != '\0')
		return TOKEN_BAD;
	strtod(copy, &end);
	return *end == '\0' && end != copy ? TOKEN_FLOAT : TOKEN_BAD;
}

static void scan_number(struct scanner *s, struct token *t)
{
	const char *p = t->text;
	bool hex = p[0] == '0' && (p[1] == 'x' || p[1] == 'X');
	size_t n = 1, sign = *p == '-' || *p == '+';
	bool too_large = false;
	int shown;

	while (isalnum((unsigned char)p[n]) || p[n] == '.' || p[n] == '_' ||
	       ((p[n] == '+' || p[n] == '-') && !hex && (p[n - 1] == 'e' || p[n - 1] == 'E')))
		n++;
	t->len = n;
	t->kind = number_kind(p, n, &t->number, &too_large);
	shown = n > 40 ? 40 : (int)n;
	if (t->kind == TOKEN_INT && p[sign] == '0' && isdigit((unsigned char)p[sign + 1])) {
		scan_complain(s, t->place, true,
			      "%.*s has a leading zero, which may mean octal (write %lld)", shown,
			      p, (long long)t->number);
		t->kind = TOKEN_BAD;
	} else if (too_large) {
		scan_complain(s, t->place, true, "%.*s does not fit in 64 bits", shown, p);
	} else if (t->kind == TOKEN_BAD && p[0] == '0' && n > 2 && strchr("bBoO", p[1])) {
		scan_complain(s, t->place, true,
			      "%.*s: binary and octal numbers are not read alike everywhere "
			      "(write it decimal or 0x...)",
			      shown, p);
	} else if (t->kind == TOKEN_BAD) {
		scan_complain(s, t->place, true, "%.*s is not a number", shown, p);
	}
}

static void scan_word(struct token *t)
{
	while (is_name(t->text[t->len], false))
		t->len++;
	t->kind = TOKEN_NAME;
	if ((t->len == 4 && strncasecmp(t->text, "true", 4) == 0) ||
	    (t->len == 5 && strncasecmp(t->text, "false", 5) == 0))
		t->kind = TOKEN_BOOL;
}

static void scan_odd(struct scanner *s, struct token *t)
{
	unsigned char c = (unsigned char)t->text[0];

	t->kind = TOKEN_BAD;
	if (strncmp(t->text, "\xef\xbb\xbf", 3) == 0)
		scan_complain(s, t->place, true, "the file begins with a byte order mark");
	else if (c == '\'')
		scan_complain(s, t->place, true, "strings stand in double quotes");
	else if (isprint(c))
		scan_complain(s, t->place, true, "unexpected '%c'", c);
	else
		scan_complain(s, t->place, true, "unexpected byte 0x%02x", c);
}

/* Past blanks, comments, includes and the ends of included files.  False if that fails. */
static bool advance(struct scanner *s)
{
	for (;;) {
		struct scan_level *l = top(s);
		const struct conf_source_text *source = &s->text->source[l->source];

		if (!skip(s))
			return false;
		if (*l->at == '@') {
			if (!include(s))
				return false;
		} else if (*l->at == '\0' && l->at == source->data + source->len && s->depth > 0) {
			s->depth--;
		} else {
			return true;
		}
	}
}

void scan_next(struct scanner *s, struct token *t)
{
	struct scan_level *l;
	const char *end;

	*t = (struct token){.kind = TOKEN_BAD};
	if (!advance(s))
		return;
	l = top(s);
	l->line_start = false;
	*t = (struct token){.kind = TOKEN_MARK, .text = l->at, .len = 1, .place = here(s)};
	if (*l->at == '\0' &&
	    l->at == s->text->source[l->source].data + s->text->source[l->source].len) {
		t->kind = TOKEN_END;
		return;
	}
	if (*l->at == '"') {
		end = string_end(s, l->at, t);
		t->kind = end ? TOKEN_STRING : TOKEN_BAD;
		t->len = end ? (size_t)(end - l->at) : 0;
	} else if (isdigit((unsigned char)*l->at) || (*l->at != '\0' && strchr("+-.", *l->at))) {
		scan_number(s, t);
	} else if (is_name(*l->at, true)) {
		scan_word(t);
	} else if (*l->at == '\0' || !strchr("=:{}[]();,", *l->at)) {
		scan_odd(s, t);
	}
	l->at += t->len;
}
