/* SPDX-License-Identifier: ISC */
/* struct conf written down again: every key in force, as a file that says the same. */
#include "conf.h"
#include "conf_schema.h"
#include "conf_value.h"
#include "size.h"

#include <inttypes.h>
#include <string.h>

static void print_text(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fprintf(out, "\\%c", *text);
		else if ((unsigned char)*text < ' ' || *text == 0x7f)
			fprintf(out, "\\x%02x", (unsigned char)*text);
		else
			fputc(*text, out);
	}
	fputc('"', out);
}

static void print_size(FILE *out, int64_t n)
{
	char text[SIZE_TEXT_MAX];

	size_format(n, text);
	fprintf(out, strpbrk(text, "KMGT") ? "\"%s\"" : "%s", text);
}

static void print_texts(FILE *out, char *const *texts, size_t n)
{
	fputc('[', out);
	for (size_t i = 0; i < n; i++) {
		fputs(i ? ", " : " ", out);
		print_text(out, texts[i]);
	}
	fputs(" ]", out);
}

static void print_ports(FILE *out, const uint16_t *ports, size_t n)
{
	fputc('[', out);
	for (size_t i = 0; i < n; i++)
		fprintf(out, "%s%u", i ? ", " : " ", ports[i]);
	fputs(" ]", out);
}

static void print_word(FILE *out, const struct conf_key *key, int number)
{
	for (const struct conf_word *w = key->words; w->name; w++)
		if (w->number == number)
			print_text(out, w->name);
}

static void print_value(FILE *out, const struct conf_key *key, const void *base)
{
	const void *field = (const char *)base + key->offset;
	const size_t *count = (const void *)((const char *)base + key->count_offset);
	long long number = key->type == KEY_BOOL ? 0 : conf_value_number(key, base);
	char text[SIZE_TEXT_MAX];

	switch (key->type) {
	case KEY_BOOL:
		fputs(*(const bool *)field ? "true" : "false", out);
		break;
	case KEY_SIZE:
		print_size(out, number);
		break;
	case KEY_SECONDS:
	case KEY_RATE:
		fputs(seconds_format(number, 1000, text), out);
		break;
	case KEY_WORD:
		print_word(out, key, (int)number);
		break;
	case KEY_PROTOCOL:
		print_text(out, protocols[number].name);
		break;
	case KEY_MODEL:
		print_text(out, (*(const struct model *const *)field)->name);
		break;
	case KEY_ENGINE:
		print_text(out, (*(const struct engine *const *)field)->name);
		break;
	case KEY_TEXT:
		print_text(out, *(char *const *)field);
		break;
	case KEY_MODE:
		fprintf(out, "\"%04llo\"", number);
		break;
	case KEY_TEXTS:
		print_texts(out, *(char *const *const *)field, *count);
		break;
	case KEY_PORTS:
	case KEY_CPUS:
		print_ports(out, *(const uint16_t *const *)field, *count);
		break;
	default:
		fprintf(out, "%lld", number);
	}
}

static void print_socket(FILE *out, const struct sockopt_set *set, const char *indent)
{
	char text[128];

	fprintf(out, "%ssocket = {\n", indent);
	for (size_t i = 0; i < n_sockopts; i++) {
		const struct sockopt_row *row = &sockopts[i];

		if (!set->value[i].set)
			continue;
		fprintf(out, "%s\t%s = ", indent, row->name);
		sockopt_format(row, &set->value[i], text, sizeof(text));
		if (row->type == OPT_STRING || row->type == OPT_MEMBERSHIP ||
		    row->type == OPT_NAMES)
			print_text(out, text);
		else if (row->type == OPT_SIZE)
			print_size(out, set->value[i].number);
		else
			fputs(text, out);
		fputs(";\n", out);
	}
	fprintf(out, "%s};\n", indent);
}

/* What a row's keys stand in, while they are printed. */
struct printer {
	FILE *out;
	const char *indent;
	char group[32]; /* the open group's name, or "" */
};

/* Rows of one group stand together in the table: close the open group and open the one called NAME (LEN bytes; 0: none). */
static void enter(struct printer *p, const char *name, size_t len)
{
	if (strlen(p->group) == len && strncmp(p->group, name, len) == 0)
		return;
	if (p->group[0])
		fprintf(p->out, "%s};\n", p->indent);
	snprintf(p->group, sizeof(p->group), "%.*s", (int)len, name);
	if (len)
		fprintf(p->out, "%s%s = {\n", p->indent, p->group);
}

/* Print KEY of BASE; NAME is its path after that of BASE. */
static void print_key(struct printer *p, const struct conf_key *key, const char *name,
		      const void *base)
{
	const char *dot = strchr(name, '.');

	enter(p, name, dot ? (size_t)(dot - name) : 0);
	if (key->type == KEY_SOCKET) {
		print_socket(p->out, (const void *)((const char *)base + key->offset), p->indent);
		return;
	}
	fprintf(p->out, "%s%s%s = ", p->indent, dot ? "\t" : "", dot ? dot + 1 : name);
	print_value(p->out, key, base);
	fputs(";\n", p->out);
}

/* A list that may not be empty is left out where it is: activation stands for listen. */
static bool may_be_said(const struct conf_key *key, const struct service_conf *s)
{
	return key->type != KEY_TEXTS || key->min == 0 ||
	       *(const size_t *)(const void *)((const char *)s + key->count_offset) > 0;
}

void conf_dump_service(const struct service_conf *s, FILE *out)
{
	struct printer p = {.out = out, .indent = "\t\t"};

	fputs("\t{\n", out);
	for (size_t i = 0; i < n_conf_keys; i++)
		if (conf_keys[i].protocols & (1u << s->protocol) && may_be_said(&conf_keys[i], s))
			print_key(&p, &conf_keys[i], conf_keys[i].path + strlen(CONF_SERVICE), s);
	enter(&p, "", 0);
	fputs("\t}", out);
}

void conf_dump(const struct conf *c, FILE *out)
{
	struct printer p = {.out = out, .indent = ""};

	for (size_t i = 0; i < n_conf_keys; i++)
		if (!conf_keys[i].protocols) /* no service's */
			print_key(&p, &conf_keys[i], conf_keys[i].path, c);
	enter(&p, "", 0);
	fputs("services = (\n", out);
	for (size_t i = 0; i < c->n_services; i++) {
		fputs(i ? ",\n" : "", out);
		conf_dump_service(&c->services[i], out);
	}
	fputs("\n);\n", out);
}
