/* SPDX-License-Identifier: ISC */
/* One value: its type and its range, a function for each type.  A wrong value leaves the
 * field as it was, so that the rules between keys have something to look at. */
#include "conf_value.h"

#include "conf.h"
#include "conf_node.h"
#include "conf_schema.h"
#include "size.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { DESCRIBE_MAX = 80, ALLOWED_MAX = 240 };

/* A value on its way: what to set, and whom to tell. */
struct setting {
	const struct conf_key *key;
	struct conf_node *node;
	void *base;
	char *field;
	size_t *count; /* of lists */
	const char *path;
	struct complaints *complaints;
};

/* "PATH: VALUE WHAT (ALLOWED)" about N, which is the node or one of its elements. */
static void refuse(const struct setting *s, struct conf_node *n, const char *what)
{
	char value[DESCRIBE_MAX], allowed[ALLOWED_MAX];

	conf_key_allowed(s->key, allowed, sizeof(allowed));
	if (n->kind >= NODE_ARRAY)
		complain(s->complaints, n, "%s: %s (%s)", s->path, what, allowed);
	else
		complain(s->complaints, n, "%s: %s %s (%s)", s->path,
			 node_describe(n, value, sizeof(value)), what, allowed);
	s->node->bad = true;
}

/* The same for a value of a wrong type: says which type it is. */
static void refuse_type(const struct setting *s, struct conf_node *n)
{
	char value[DESCRIBE_MAX], allowed[ALLOWED_MAX];

	n->bad = s->node->bad = true;
	conf_key_allowed(s->key, allowed, sizeof(allowed));
	if (n->kind >= NODE_ARRAY)
		complain(s->complaints, n, "%s: is %s (%s)", s->path, node_kind_text(n), allowed);
	else
		complain(s->complaints, n, "%s: %s is %s (%s)", s->path,
			 node_describe(n, value, sizeof(value)), node_kind_text(n), allowed);
}

static void store(const struct setting *s, int64_t number)
{
	int32_t narrow = (int32_t)number;

	if (s->key->size == sizeof(number))
		memcpy(s->field, &number, sizeof(number));
	else
		memcpy(s->field, &narrow, sizeof(narrow)); /* also of uint32_t: modulo 2^32 */
}

long long conf_value_number(const struct conf_key *key, const void *base)
{
	const char *field = (const char *)base + key->offset;
	int64_t wide;
	int32_t narrow;

	if (key->size == sizeof(wide)) {
		memcpy(&wide, field, sizeof(wide));
		return wide;
	}
	memcpy(&narrow, field, sizeof(narrow));
	return key->min < 0 ? narrow : (long long)(uint32_t)narrow;
}

static void set_number(const struct setting *s, int64_t number)
{
	const struct conf_key *key = s->key;

	if ((number < key->min || number > key->max) && !(key->zero && number == 0))
		refuse(s, s->node, "is out of range");
	else
		store(s, number);
}

static void set_bool(const struct setting *s)
{
	bool value = s->node->number != 0;

	if (s->node->kind != NODE_BOOL)
		refuse_type(s, s->node);
	else
		memcpy(s->field, &value, sizeof(value));
}

static void set_int(const struct setting *s)
{
	if (s->node->kind != NODE_INT)
		refuse_type(s, s->node);
	else
		set_number(s, s->node->number);
}

static void set_size(const struct setting *s)
{
	int64_t number = s->node->number;
	int r = 0;

	if (s->node->kind == NODE_STRING)
		r = size_parse(s->node->text, &number);
	else if (s->node->kind != NODE_INT) {
		refuse_type(s, s->node);
		return;
	}
	if (r == -EINVAL)
		refuse(s, s->node, "is not a size");
	else if (r < 0)
		refuse(s, s->node, "is out of range");
	else
		set_number(s, number);
}

/* Also of rates: both are kept in thousandths. */
static void set_seconds(const struct setting *s)
{
	double seconds = s->node->real;
	int64_t ms;

	if (s->node->kind == NODE_INT)
		seconds = (double)s->node->number;
	else if (s->node->kind != NODE_FLOAT) {
		refuse_type(s, s->node);
		return;
	}
	/* What rounds to 0 would switch off what it shall limit. */
	if (seconds > 0 && seconds < 0.0005)
		refuse(s, s->node,
		       s->key->type == KEY_RATE ? "is below a thousandth"
						: "is below a millisecond");
	else if (seconds_round(seconds, 1000, &ms) < 0)
		refuse(s, s->node, "is out of range");
	else
		set_number(s, ms);
}

/* The number of the word TEXT in KEY's table; or -1. */
static int find_word(const struct conf_key *key, const char *text)
{
	for (const struct conf_word *w = key->words; w->name; w++)
		if (strcmp(w->name, text) == 0)
			return w->number;
	return -1;
}

static void set_word(const struct setting *s)
{
	const char *text = s->node->text;
	const void *found = NULL;
	int number = -1;

	if (s->node->kind != NODE_STRING) {
		refuse_type(s, s->node);
		return;
	}
	switch (s->key->type) {
	case KEY_MODEL:
		found = model_find(text);
		break;
	case KEY_ENGINE:
		found = engine_find(text);
		break;
	case KEY_PROTOCOL:
		number = protocol_find(text);
		break;
	default:
		number = find_word(s->key, text);
	}
	if (found || (s->key->type == KEY_ENGINE && strcmp(text, "auto") == 0))
		memcpy(s->field, &found, sizeof(found));
	else if (number >= 0)
		store(s, number);
	else
		refuse(s, s->node, "is not known");
}

static void set_text(const struct setting *s)
{
	size_t len = s->node->kind == NODE_STRING ? strlen(s->node->text) : 0;
	char *copy, *old;

	if (s->node->kind != NODE_STRING) {
		refuse_type(s, s->node);
		return;
	}
	if ((int64_t)len < s->key->min || (int64_t)len > s->key->max) {
		refuse(s, s->node, len ? "is too long" : "is empty");
		return;
	}
	copy = strdup(s->node->text);
	s->complaints->no_memory |= !copy;
	memcpy(&old, s->field, sizeof(old));
	free(old);
	memcpy(s->field, &copy, sizeof(copy));
	/* cppcheck-suppress memleak ; the field has it */
}

static void set_mode(const struct setting *s)
{
	const char *text = s->node->kind == NODE_STRING ? s->node->text : "";
	size_t len = strlen(text);

	if (s->node->kind != NODE_STRING)
		refuse_type(s, s->node);
	else if (len < 3 || len > 4 || strspn(text, "01234567") != len ||
		 strtol(text, NULL, 8) > s->key->max)
		refuse(s, s->node, "is not a mode");
	else
		store(s, strtol(text, NULL, 8));
}

/* Are N's elements so many as KEY allows, and all of KIND? */
static bool elements_fit(const struct setting *s, enum node_kind kind)
{
	struct conf_node *n = s->node;

	if (n->kind != NODE_ARRAY && n->kind != NODE_LIST) {
		refuse_type(s, n);
		return false;
	}
	if ((int64_t)n->n < s->key->min || (int64_t)n->n > s->key->max) {
		refuse(s, n, n->n ? "is too long" : "is empty");
		return false;
	}
	for (size_t i = 0; i < n->n; i++)
		if (n->child[i]->kind != kind)
			refuse_type(s, n->child[i]);
	return !n->bad;
}

static void set_texts(const struct setting *s)
{
	struct conf_node *one[] = {s->node};
	struct conf_node **from = one;
	size_t n = 1;
	char **texts;

	if (s->node->kind != NODE_STRING) { /* one string is a list of one */
		if (!elements_fit(s, NODE_STRING))
			return;
		from = s->node->child;
		n = s->node->n;
	}
	texts = calloc(n + 1, sizeof(*texts));
	for (size_t i = 0; texts && i < n; i++) {
		texts[i] = strdup(from[i]->text);
		s->complaints->no_memory |= !texts[i];
	}
	s->complaints->no_memory |= !texts;
	conf_value_free(s->key, s->base);
	memcpy(s->field, &texts, sizeof(texts));
	*s->count = texts ? n : 0;
}

static void set_ports(const struct setting *s)
{
	const struct conf_node *n = s->node;
	int64_t last = s->key->type == KEY_CPUS ? CONF_CPU_MAX : UINT16_MAX;
	uint16_t *ports;

	if (!elements_fit(s, NODE_INT))
		return;
	for (size_t i = 0; i < n->n; i++)
		if (n->child[i]->number < 0 || n->child[i]->number > last)
			refuse(s, n->child[i], "is out of range");
	if (n->bad)
		return;
	ports = calloc(n->n + 1, sizeof(*ports));
	for (size_t i = 0; ports && i < n->n; i++)
		ports[i] = (uint16_t)n->child[i]->number;
	s->complaints->no_memory |= !ports;
	conf_value_free(s->key, s->base);
	memcpy(s->field, &ports, sizeof(ports));
	*s->count = ports ? n->n : 0;
}

void conf_value_set(const struct conf_key *key, struct conf_node *n, void *base, const char *path,
		    struct complaints *c)
{
	static void (*const set[])(const struct setting *) = {
		[KEY_BOOL] = set_bool,       [KEY_INT] = set_int,     [KEY_SIZE] = set_size,
		[KEY_SECONDS] = set_seconds, [KEY_WORD] = set_word,   [KEY_PROTOCOL] = set_word,
		[KEY_MODEL] = set_word,      [KEY_ENGINE] = set_word, [KEY_TEXT] = set_text,
		[KEY_MODE] = set_mode,       [KEY_TEXTS] = set_texts, [KEY_PORTS] = set_ports,
		[KEY_RATE] = set_seconds,    [KEY_CPUS] = set_ports,
	};
	struct setting s = {.key = key, .node = n, .base = base, .path = path, .complaints = c};

	s.field = (char *)base + key->offset;
	s.count = (size_t *)(void *)((char *)base + key->count_offset);
	set[key->type](&s);
}

void conf_value_free(const struct conf_key *key, void *base)
{
	char *field = (char *)base + key->offset;
	size_t *count = (size_t *)(void *)((char *)base + key->count_offset);
	void *owned, *none = NULL;

	if (key->type != KEY_TEXT && !conf_key_is_list(key))
		return;
	memcpy(&owned, field, sizeof(owned));
	if (key->type == KEY_TEXTS)
		for (size_t i = 0; owned && i < *count; i++)
			free(((char **)owned)[i]);
	free(owned);
	memcpy(field, &none, sizeof(none));
	if (key->type != KEY_TEXT)
		*count = 0;
}

/* Is a node of N's kind what ROW takes? */
static bool sockopt_kind_fits(const struct sockopt_row *row, const struct conf_node *n)
{
	switch (row->type) {
	case OPT_BOOL:
		return n->kind == NODE_BOOL;
	case OPT_INT:
	case OPT_SECONDS:
		return n->kind == NODE_INT;
	case OPT_SIZE:
		return n->kind == NODE_INT || n->kind == NODE_STRING;
	case OPT_TIME:
		return n->kind == NODE_INT || n->kind == NODE_FLOAT;
	case OPT_LINGER:
		return n->kind == NODE_INT || (n->kind == NODE_BOOL && !n->number);
	default:
		return n->kind == NODE_STRING;
	}
}

void conf_value_sockopt(const struct sockopt_row *row, struct conf_node *n,
			struct sockopt_value *value, const char *path, struct complaints *c)
{
	char shown[DESCRIBE_MAX], allowed[ALLOWED_MAX], number[64];
	const char *text = n->text, *why;

	if (row->refused) {
		complain(c, n, "%s: cannot be set: %s", path, row->refused);
		return;
	}
	node_describe(n, shown, sizeof(shown));
	if (!sockopt_kind_fits(row, n)) {
		complain(c, n, "%s: %s is %s (%s)", path, shown, node_kind_text(n),
			 sockopt_allowed(row, allowed, sizeof(allowed)));
		return;
	}
	if (n->kind != NODE_STRING)
		text = number;
	/* What is next to nothing must not become 0, which may mean never. */
	snprintf(number, sizeof(number), "%.9f",
		 n->real > 0 && n->real < 1e-9 ? 1e-9
		 : n->real < 1e15              ? n->real
					       : 1e15);
	if (n->kind == NODE_INT || n->kind == NODE_BOOL)
		node_describe(n, number, sizeof(number));
	if (sockopt_parse(row, text, value, &why) < 0)
		complain(c, n, "%s: %s is not allowed (%s)", path, shown, why);
}
