/* SPDX-License-Identifier: ISC */
/* --listen, --model, --engine, --workers: written down as the configuration that says the
 * same, and from there on treated as one. */
#include "conf_override.h"

#include "conf.h"
#include "conf_node.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char origin[] = "--listen";

/* "tcp:ADDR": the protocol, and ADDR; or -1. */
static int split(const char *text, const char **address)
{
	size_t len = strcspn(text, ":");

	for (int i = 0; i < N_PROTOCOLS; i++) {
		if (strlen(protocols[i].name) == len &&
		    strncmp(protocols[i].name, text, len) == 0 && text[len] == ':') {
			*address = text + len + 1;
			return i;
		}
	}
	return -1;
}

/* A string as the configuration's language writes it. */
static void quote(FILE *out, const char *text)
{
	fputc('"', out);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fprintf(out, "\\%c", *text);
		else if ((unsigned char)*text < ' ')
			fprintf(out, "\\x%02x", (unsigned char)*text);
		else
			fputc(*text, out);
	}
	fputc('"', out);
}

static void print_word(FILE *out, const char *key, const char *word)
{
	if (!word)
		return;
	fprintf(out, "%s = ", key);
	quote(out, word);
	fputs("; ", out);
}

/* Can only this host reach all the addresses of PROTOCOL?  Its own processes are no flood. */
static bool all_loopback(const struct conf_source *s, int protocol)
{
	const char *address;

	for (size_t i = 0; s->listen[i]; i++)
		if (split(s->listen[i], &address) == protocol && strncmp(address, "127.", 4) != 0 &&
		    strncmp(address, "[::1]:", 6) != 0)
			return false;
	return true;
}

static void print_service(FILE *out, const struct conf_source *s, int protocol)
{
	const char *address, *comma = "";

	fprintf(out, "{ protocol = \"%s\"; listen = [ ", protocols[protocol].name);
	for (size_t i = 0; s->listen[i]; i++) {
		if (split(s->listen[i], &address) != protocol)
			continue;
		fputs(comma, out);
		quote(out, address);
		comma = ", ";
	}
	fputs(" ]; ", out);
	print_word(out, "model", s->model);
	print_word(out, "engine", s->engine);
	/* A number, if it is one; else a string, which the check will not take. */
	if (s->workers && s->workers[0] && s->workers[strspn(s->workers, "0123456789")] == '\0' &&
	    (s->workers[0] != '0' || s->workers[1] == '\0') && strlen(s->workers) < 18)
		fprintf(out, "workers = %s; ", s->workers);
	else
		print_word(out, "workers", s->workers);
	if (protocol == PROTO_UDP && all_loopback(s, protocol))
		fputs("udp = { rate = 0; }; ", out);
	fputs("}", out);
}

static int print_all(FILE *out, const struct conf_source *s, struct complaints *c)
{
	bool seen[N_PROTOCOLS] = {false};
	const char *address, *comma = "";
	char names[64];

	fputs("services = ( ", out);
	for (size_t i = 0; s->listen && s->listen[i]; i++) {
		int protocol = split(s->listen[i], &address);

		if (protocol < 0) {
			complain_of(c, origin,
				    "\"%.100s\" is not PROTOCOL:ADDRESS (PROTOCOL is one of %s)",
				    s->listen[i], sockopt_protocols(~0u, names, sizeof(names)));
			return -1;
		}
		if (seen[protocol])
			continue;
		seen[protocol] = true;
		fputs(comma, out);
		print_service(out, s, protocol);
		comma = ", ";
	}
	fputs(" );", out);
	return 0;
}

char *conf_listen_text(const struct conf_source *source, struct complaints *c)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	int r;

	if (!out) {
		c->no_memory = true;
		return NULL;
	}
	r = print_all(out, source, c);
	if (fclose(out) != 0 || r < 0) {
		c->no_memory |= r == 0;
		free(text);
		return NULL;
	}
	return text;
}
