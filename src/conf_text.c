/* SPDX-License-Identifier: ISC */
/* The grammar of libconfig's language, checked before libconfig is asked.
 *
 * Debian 12 has libconfig 1.5 and Debian 13 has 1.7; the same text must give the same
 * result and the same complaints.  1.5 wraps integers in silence, ends the process for an
 * @include of a directory, needs minutes for a long string, and reports a syntax error
 * as "syntax error", often a line late.  So every file is read once, here, and what
 * libconfig parses is rewritten from the tokens that were checked: integers decimal and
 * 64 bits wide, includes in place.  Nothing is read twice, so nothing can change between
 * the check and the use.  Lines are counted here for each setting and handed on. */
#include "conf_text.h"

#include "conf_node.h"
#include "conf_scan.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The state of one parse: TOKEN is the one that is looked at. */
struct parser {
	struct scanner scan;
	struct token token;
	int depth;
};

static int value(struct parser *p);
static int settings(struct parser *p, char close);

static int emit(struct conf_text *t, const char *text, size_t len)
{
	if (t->len + len + 2 > t->room) {
		size_t room = 2 * (t->len + len) + 4096;
		char *grown = realloc(t->flat, room);

		if (!grown)
			return -ENOMEM;
		t->flat = grown;
		t->room = room;
	}
	memcpy(t->flat + t->len, text, len);
	t->len += len;
	t->flat[t->len++] = ' ';
	t->flat[t->len] = '\0';
	return 0;
}

/* Hand the token to libconfig and look at the next. */
static int take(struct parser *p)
{
	char number[32];
	const char *text = p->token.text;
	size_t len = p->token.len;

	if (p->token.kind == TOKEN_INT) {
		len = (size_t)snprintf(number, sizeof(number), "%" PRId64 "L", p->token.number);
		text = number;
	}
	if (emit(p->scan.text, text, len) < 0)
		return -ENOMEM;
	scan_next(&p->scan, &p->token);
	return p->token.kind == TOKEN_BAD ? -EINVAL : 0;
}

static bool is_mark(const struct parser *p, char mark)
{
	return p->token.kind == TOKEN_MARK && *p->token.text == mark;
}

static int expected(struct parser *p, const char *what)
{
	const struct token *t = &p->token;

	if (t->kind == TOKEN_END)
		scan_complain(&p->scan, t->place, true, "expected %s, found the end of the file",
			      what);
	else
		scan_complain(&p->scan, t->place, true, "expected %s, found %.*s", what,
			      t->len > 40 ? 40 : (int)t->len, t->text);
	return -EINVAL;
}

/* The setting or element that begins at the token is the next in the order of the text. */
static int mark_place(struct parser *p)
{
	struct conf_text *t = p->scan.text;

	if ((t->n_places & (t->n_places - 1)) == 0) { /* room is the next power of two */
		size_t room = t->n_places ? 2 * t->n_places : 1;
		struct place *grown = reallocarray(t->place, room, sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		t->place = grown;
	}
	t->place[t->n_places++] = p->token.place;
	return 0;
}

/* Strings that follow each other are one. */
static int strings(struct parser *p)
{
	struct place begin = p->token.place;
	size_t total = 0;
	int r = 0;

	while (r == 0 && p->token.kind == TOKEN_STRING) {
		total += p->token.len;
		if (total > CONF_STRING_MAX) {
			scan_complain(&p->scan, begin, true, "a string is longer than %d bytes",
				      CONF_STRING_MAX);
			return -EINVAL;
		}
		r = take(p);
	}
	return r;
}

/* What follows a comma or a value in a list or array that CLOSE ends: 1 = another value. */
static int next_element(struct parser *p, char close, size_t n)
{
	int r;

	if (is_mark(p, close))
		return 0;
	if (!is_mark(p, ','))
		return expected(p, close == ']' ? "',' or ']'" : "',' or ')'");
	if (n == CONF_ELEMENTS_MAX) {
		scan_complain(&p->scan, p->token.place, true, "more than %d elements",
			      CONF_ELEMENTS_MAX);
		return -EINVAL;
	}
	r = take(p);
	if (r < 0)
		return r;
	if (is_mark(p, close)) {
		scan_complain(&p->scan, p->token.place, true,
			      "a comma before '%c' (take it away: older libconfig refuses it)",
			      close);
		return -EINVAL;
	}
	return 1;
}

/* An array holds scalars of one kind. */
static int array_element(struct parser *p, enum token_kind *kind)
{
	if (p->token.kind != TOKEN_BOOL && p->token.kind != TOKEN_INT &&
	    p->token.kind != TOKEN_FLOAT && p->token.kind != TOKEN_STRING)
		return expected(p, "a number, a \"string\", true or false");
	if (*kind != TOKEN_BAD && *kind != p->token.kind) {
		scan_complain(&p->scan, p->token.place, true,
			      "the elements of an array [ ] must be of one type "
			      "(a list ( ) may mix them)");
		return -EINVAL;
	}
	*kind = p->token.kind;
	return value(p);
}

static int elements(struct parser *p, char close)
{
	enum token_kind kind = TOKEN_BAD;
	int r = take(p), more = !is_mark(p, close);

	for (size_t n = 1; r == 0 && more == 1; n++) {
		r = mark_place(p);
		if (r == 0)
			r = close == ']' ? array_element(p, &kind) : value(p);
		if (r == 0)
			more = next_element(p, close, n);
	}
	if (r < 0 || more < 0)
		return r < 0 ? r : more;
	return take(p);
}

static int group(struct parser *p)
{
	int r = take(p);

	if (r == 0)
		r = settings(p, '}');
	return r < 0 ? r : take(p);
}

static int container(struct parser *p)
{
	int r;

	if (p->depth == CONF_DEPTH_MAX) {
		scan_complain(&p->scan, p->token.place, true, "nested more than %d deep",
			      CONF_DEPTH_MAX);
		return -EINVAL;
	}
	p->depth++;
	if (is_mark(p, '{'))
		r = group(p);
	else
		r = elements(p, is_mark(p, '[') ? ']' : ')');
	p->depth--;
	return r;
}

static int value(struct parser *p)
{
	if (is_mark(p, '{') || is_mark(p, '[') || is_mark(p, '('))
		return container(p);
	switch (p->token.kind) {
	case TOKEN_STRING:
		return strings(p);
	case TOKEN_BOOL:
	case TOKEN_INT:
	case TOKEN_FLOAT:
		return take(p);
	case TOKEN_NAME:
		return expected(p, "a value (a word stands in double quotes)");
	default:
		return expected(p, "a value");
	}
}

/* Settings of one group are few enough to compare each with all before it. */
static int refuse_twice(struct parser *p, const struct token *seen, size_t n)
{
	const struct token *t = &p->token;

	for (size_t i = 0; i < n; i++) {
		if (seen[i].len != t->len || memcmp(seen[i].text, t->text, t->len) != 0)
			continue;
		const struct place *first = &seen[i].place;
		bool here = first->file == t->place.file;

		scan_complain(&p->scan, t->place, true,
			      "%.*s is set twice in one group (first in %s%s%u)",
			      t->len > 40 ? 40 : (int)t->len, t->text, here ? "line" : first->file,
			      here ? " " : ":", first->line);
		return -EINVAL;
	}
	if (n < CONF_SETTINGS_MAX)
		return 0;
	scan_complain(&p->scan, t->place, true, "more than %d settings in one group",
		      CONF_SETTINGS_MAX);
	return -EINVAL;
}

static int setting(struct parser *p)
{
	int r = mark_place(p);

	if (r == 0)
		r = take(p);
	if (r < 0)
		return r;
	if (!is_mark(p, '=') && !is_mark(p, ':'))
		return expected(p, "'=' after a name");
	r = take(p);
	if (r == 0)
		r = value(p);
	if (r == 0 && (is_mark(p, ';') || is_mark(p, ',')))
		r = take(p);
	return r;
}

/* Settings up to CLOSE, or up to the end of the text if that is NUL. */
static int settings(struct parser *p, char close)
{
	struct token *seen = NULL;
	size_t n = 0;
	int r = 0;

	while (r == 0 && p->token.kind == TOKEN_NAME) {
		struct token *grown = reallocarray(seen, n + 1, sizeof(*seen));

		if (!grown) {
			r = -ENOMEM;
			break;
		}
		seen = grown;
		r = refuse_twice(p, seen, n);
		seen[n++] = p->token;
		if (r == 0)
			r = setting(p);
	}
	free(seen);
	if (r < 0)
		return r;
	if (close == '\0')
		return p->token.kind == TOKEN_END ? 0 : expected(p, "the name of a setting");
	return is_mark(p, close) ? 0 : expected(p, "the name of a setting or '}'");
}

static int parse(struct parser *p)
{
	int r;

	p->scan.level[0] = (struct scan_level){.at = p->scan.text->source[0].data,
					       .line = 1,
					       .line_start = true};
	scan_next(&p->scan, &p->token);
	r = p->token.kind == TOKEN_BAD ? -EINVAL : settings(p, '\0');
	if (r == 0)
		r = emit(p->scan.text, "", 0);
	return r;
}

/* Make room for all sources at once, so that what points to them can stay. */
static int make_room(struct conf_text *t, const char *name)
{
	*t = (struct conf_text){0};
	t->source = calloc(CONF_INCLUDES_MAX + 2, sizeof(*t->source));
	if (!t->source)
		return -ENOMEM;
	t->n_sources = 1;
	t->source[0].name = strdup(name);
	return t->source[0].name ? 0 : -ENOMEM;
}

int conf_text_file(struct conf_text *t, const char *name, struct complaints *c)
{
	const char *slash = strrchr(name, '/');
	const char *why = "out of memory";
	int r;
	struct parser p = {.scan = {.text = t,
				    .complaints = c,
				    .has_lines = true,
				    .dir = name,
				    .dir_len = slash ? (size_t)(slash + 1 - name) : 0}};

	r = make_room(t, name) < 0 ? -EAGAIN : conf_read(name, CONF_BYTES_MAX, &t->source[0], &why);
	if (r < 0) {
		c->shortage |= r == -EAGAIN;
		complain_of(c, name, "%s", why);
		return -EINVAL;
	}
	t->bytes = t->source[0].len;
	return parse(&p);
}

int conf_text_string(struct conf_text *t, const char *name, const char *data, struct complaints *c)
{
	struct parser p = {.scan = {.text = t, .complaints = c, .dir = ""}};

	if (make_room(t, name) < 0)
		return -ENOMEM;
	t->source[0].data = strdup(data);
	if (!t->source[0].data)
		return -ENOMEM;
	t->source[0].len = strlen(data);
	return parse(&p);
}

void conf_text_clear(struct conf_text *t)
{
	for (size_t i = 0; i < t->n_sources; i++) {
		free(t->source[i].name);
		free(t->source[i].data);
	}
	free(t->source);
	free(t->place);
	free(t->flat);
	*t = (struct conf_text){0};
}
