/* SPDX-License-Identifier: ISC */
/* Names and numbers of whom to talk to.  Only the split is ours: what is between the
 * brackets, or before the port, goes to getaddrinfo(3), which knows scopes and services. */
#include "target.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char default_port[] = "7";

/* Where the host ends and the port begins: BEGIN..END is the host, *PORT what is behind. */
static int split(const char *text, const char **begin, size_t *length, const char **port)
{
	const char *colon = strchr(text, ':');

	*begin = text;
	*length = strlen(text);
	*port = NULL;
	if (text[0] == '[') {
		const char *close = strchr(text, ']');

		if (!close || (close[1] != '\0' && close[1] != ':'))
			return -EINVAL;
		*begin = text + 1;
		*length = (size_t)(close - *begin);
		*port = close[1] == ':' ? close + 2 : NULL;
	} else if (colon && !strchr(colon + 1, ':')) {
		/* Two colons and no brackets can only be IPv6. */
		*length = (size_t)(colon - text);
		*port = colon + 1;
	}
	return 0;
}

bool target_has_port(const char *text)
{
	const char *begin, *port;
	size_t length;

	return split(text, &begin, &length, &port) == 0 && port;
}

static int parse_unix(struct target *t, const char *path, const char *port, const char **why)
{
	if (port) {
		*why = "a unix socket has no port";
		return -EINVAL;
	}
	if (address_parse_unix(path, &t->addresses[0], why) < 0)
		return -EINVAL;
	snprintf(t->host, sizeof(t->host), "%s", path);
	return 0;
}

int target_parse(struct target *t, const char *host, const char *port, enum protocol protocol,
		 const char **why)
{
	const char *begin, *inside;
	size_t length;

	*t = (struct target){.n = 0};
	if (protocols[protocol].local)
		return parse_unix(t, host, port, why);
	if (split(host, &begin, &length, &inside) < 0) {
		*why = "write an IPv6 address with a port as [ADDRESS]:PORT";
		return -EINVAL;
	}
	if (length == 0 || length >= sizeof(t->host)) {
		*why = length == 0 ? "no host" : "the name is too long";
		return -EINVAL;
	}
	if (inside && port) {
		*why = "two ports";
		return -EINVAL;
	}
	if (!inside)
		inside = port ? port : default_port;
	if (inside[0] == '\0' || strlen(inside) >= sizeof(t->port)) {
		*why = "no port";
		return -EINVAL;
	}
	memcpy(t->host, begin, length);
	t->host[length] = '\0';
	strcpy(t->port, inside); /* fits */
	return 0;
}

/* An error of getaddrinfo(3) in our words. */
static int explain(int error, const char **why)
{
	*why = error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error);
	switch (error) {
	case EAI_SERVICE:
		*why = "no such port";
		return -EINVAL;
	case EAI_AGAIN:
		return -EAGAIN;
	default:
		return -ENOENT;
	}
}

int target_resolve(struct target *t, enum protocol protocol, int family, const char **why)
{
	const struct protocol_row *p = &protocols[protocol];
	struct addrinfo hints = {.ai_family = family, .ai_socktype = p->type, .ai_protocol = 0};
	struct addrinfo *list;
	bool number = t->port[strspn(t->port, "0123456789")] == '\0';
	int r;

	if (p->local) {
		t->n = 1; /* parsed already */
		return 0;
	}
	/* getaddrinfo(3) takes 70000 for 4464. */
	if (number && (strlen(t->port) > 5 || atoi(t->port) > UINT16_MAX || atoi(t->port) == 0)) {
		*why = "a port is a number from 1 to 65535";
		return -EINVAL;
	}
	r = getaddrinfo(t->host, t->port, &hints, &list);
	if (r != 0)
		return explain(r, why);
	for (struct addrinfo *a = list; a && t->n < TARGET_MAX; a = a->ai_next) {
		struct address *to = &t->addresses[t->n++];

		to->len = a->ai_addrlen;
		memcpy(&to->sa, a->ai_addr, a->ai_addrlen);
	}
	freeaddrinfo(list);
	return 0;
}
