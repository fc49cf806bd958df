/* SPDX-License-Identifier: ISC */
/* The table of a comparison: for people, as CSV, as JSON. */
#include "compare.h"

#include "exits.h"
#include "varlink.h"

#include <stdlib.h>
#include <string.h>

void compare_report_order(const struct comparison *c, unsigned order[COMPARE_MAX])
{
	for (unsigned i = 0; i < c->n; i++) {
		unsigned k = i;

		for (; k > 0 && c->server[order[k - 1]].median[METRIC_RATE] <
					c->server[i].median[METRIC_RATE];
		     k--)
			order[k] = order[k - 1];
		order[k] = i;
	}
}

static bool known(const struct contender *s, int metric)
{
	const struct compare_column *column = &compare_columns[metric];

	return s->rounds > 0 && (s->pid > 0 || !column->server) &&
	       (s->median[METRIC_RATE] > 0 || !column->echo);
}

static int name_width(const struct comparison *c)
{
	size_t width = 6;

	for (unsigned i = 0; i < c->n; i++)
		if (strlen(c->server[i].name) > width)
			width = strlen(c->server[i].name);
	return (int)width;
}

void compare_report_table(const struct comparison *c, FILE *out)
{
	unsigned order[COMPARE_MAX];
	char text[DAMAGE_TEXT_MAX];
	int width = name_width(c);

	compare_report_order(c, order);
	fprintf(out, "%-*s", width, "server");
	for (int m = 0; m < N_METRICS; m++)
		fprintf(out, "  %*s", m == METRIC_RATE ? 8 : 6, compare_columns[m].title);
	fputc('\n', out);
	for (unsigned i = 0; i < c->n; i++) {
		const struct contender *s = &c->server[order[i]];

		fprintf(out, "%-*s", width, s->name);
		for (int m = 0; m < N_METRICS; m++) {
			int wide = (int)strlen(compare_columns[m].title);

			wide = m == METRIC_RATE ? 8 : wide < 6 ? 6 : wide;
			if (known(s, m))
				fprintf(out, "  %*.*f", wide, compare_columns[m].digits,
					s->median[m]);
			else
				fprintf(out, "  %*s", wide, "-");
		}
		fprintf(out, "%s%s\n", s->note ? "  " : "", s->note ? s->note : "");
		if (s->damage.kind != DAMAGE_NONE)
			fprintf(out, "%*s damaged: %s\n", width, "", damage_text(&s->damage, text));
	}
}

void compare_report_csv(const struct comparison *c, FILE *out)
{
	unsigned order[COMPARE_MAX];

	compare_report_order(c, order);
	fputs("server", out);
	for (int m = 0; m < N_METRICS; m++)
		fprintf(out, ",%s", compare_columns[m].key);
	fputs(",note\n", out);
	for (unsigned i = 0; i < c->n; i++) {
		const struct contender *s = &c->server[order[i]];

		fputs(s->name, out);
		for (int m = 0; m < N_METRICS; m++) {
			if (known(s, m))
				fprintf(out, ",%.3f", s->median[m]);
			else
				fputc(',', out);
		}
		fprintf(out, ",%s\n", s->note ? s->note : "");
	}
}

static json_t *server_json(const struct contender *s)
{
	char address[ADDRESS_TEXT_MAX];
	json_t *o = json_pack("{s:o s:s s:s? s:I s:s}", "name", varlink_text(s->name), "address",
			      address_format(&s->load.to, address), "note", s->note, "rounds",
			      (json_int_t)s->rounds, "verdict",
			      exits_word((enum exit_code)s->code));
	json_t *samples = json_object();

	for (int m = 0; m < N_METRICS; m++) {
		const char *key = compare_columns[m].key;
		json_t *list = json_array();

		json_object_set_new(o, key, known(s, m) ? json_real(s->median[m]) : json_null());
		for (unsigned i = 0; i < s->rounds && known(s, m); i++)
			json_array_append_new(list, json_real(s->sample[m][i]));
		json_object_set_new(samples, key, list);
	}
	json_object_set_new(o, "samples", samples);
	return o;
}

json_t *compare_report_json(const struct comparison *c)
{
	unsigned order[COMPARE_MAX];
	json_t *servers = json_array();
	const struct load_conf *load = &c->server[0].load;

	compare_report_order(c, order);
	for (unsigned i = 0; i < c->n; i++)
		json_array_append_new(servers, server_json(&c->server[order[i]]));
	return json_pack("{s:s s:s s:I s:b s:I s:I s:f s:b s:o s:o}", "command", "compare",
			 "protocol", protocols[load->sock.protocol].name, "rounds",
			 (json_int_t)c->rounds, "interrupted", c->interrupted, "connections",
			 (json_int_t)load->connections, "depth", (json_int_t)load->depth,
			 "asked_rate", load->rate, "connect_each", load->connect_each, "best",
			 varlink_text(c->server[c->best].name), "servers", servers);
}
