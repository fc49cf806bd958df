/* SPDX-License-Identifier: ISC */
/* The report's fields, a row each, in the order in which they are written: short ones that no
 * other question answers first, since a datagram may have room for few. */
#include "report.h"

#include "proxy.h"

#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Text that grows in a buffer of fixed size. */
struct text {
	char *buf;
	size_t n, size;
	bool full; /* something did not fit */
};

__attribute__((format(printf, 2, 3))) static void put(struct text *t, const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(t->buf + t->n, t->size - t->n, format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= t->size - t->n)
		t->full = true;
	else
		t->n += (size_t)n;
}

/* A string of JSON.  Bytes that are no ASCII may be no UTF-8 either, and become '?'. */
static void put_string(struct text *t, const char *s)
{
	put(t, "\"");
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '"' || c == '\\')
			put(t, "\\%c", c);
		else if (c < ' ')
			put(t, "\\u%04x", c);
		else
			put(t, "%c", c < 127 ? c : '?');
	}
	put(t, "\"");
}

/* --- values: each from its place in struct report; false if it is not known --- */

static bool put_name(struct text *t, const void *field)
{
	const char *s = *(const char *const *)field;

	if (s)
		put_string(t, s);
	return s;
}

static bool put_number(struct text *t, const void *field)
{
	int64_t n = *(const int64_t *)field;

	if (n >= 0)
		put(t, "%" PRId64, n);
	return n >= 0;
}

static bool put_address(struct text *t, const void *field)
{
	const struct address *a = field;
	char buf[ADDRESS_TEXT_MAX];

	if (a->len)
		put_string(t, address_format(a, buf));
	return a->len;
}

static bool put_proxy(struct text *t, const void *field)
{
	const struct proxy_header *h = *(const struct proxy_header *const *)field;

	if (!h)
		return false;
	put(t, "{\"version\":%d", h->version);
	if (h->source.len) {
		put(t, ",\"source\":");
		put_address(t, &h->source);
		put(t, ",\"destination\":");
		put_address(t, &h->destination);
	}
	put(t, "}");
	return true;
}

static bool put_tcp(struct text *t, const void *field)
{
	const struct tcp_info *i = *(const struct tcp_info *const *)field;

	if (!i)
		return false;
	put(t, "{\"rtt_us\":%u,\"rttvar_us\":%u,\"mss\":%u", i->tcpi_rtt, i->tcpi_rttvar,
	    i->tcpi_snd_mss);
	put(t, ",\"retransmits\":%u,\"cwnd\":%u}", i->tcpi_total_retrans, i->tcpi_snd_cwnd);
	return true;
}

#define FIELD(name) offsetof(struct report, name)

static const struct field {
	const char *name;
	bool (*put)(struct text *t, const void *field);
	size_t offset;
} fields[] = {
	{"tos", put_number, FIELD(tos)},
	{"ttl", put_number, FIELD(ttl)},
	{"length", put_number, FIELD(length)},
	{"host", put_name, FIELD(host)},
	{"service", put_name, FIELD(service)},
	{"worker", put_number, FIELD(worker)},
	{"pid", put_number, FIELD(pid)},
	{"tid", put_number, FIELD(tid)},
	{"peer", put_address, FIELD(peer)},
	{"local", put_address, FIELD(local)},
	{"received_us", put_number, FIELD(received)},
	{"proxy", put_proxy, FIELD(proxy)},
	{"tcp", put_tcp, FIELD(tcp)},
	{"protocol", put_name, FIELD(protocol)},
	{"model", put_name, FIELD(model)},
	{"engine", put_name, FIELD(engine)},
};

size_t report_write(const struct report *r, char *buf, size_t size)
{
	/* snprintf(3) needs a byte for its NUL; "}\n" comes over it and behind. */
	struct text t = {.buf = buf, .size = size > 1 ? size - 1 : 0};
	size_t n = 0;

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		bool known;

		t.n = n;
		t.full = false;
		put(&t, "%c\"%s\":", n > 0 ? ',' : '{', fields[i].name);
		known = fields[i].put(&t, (const char *)r + fields[i].offset);
		if (known && t.full)
			break;
		if (known)
			n = t.n;
	}
	if (n == 0)
		return 0;
	buf[n++] = '}';
	buf[n++] = '\n';
	return n;
}
