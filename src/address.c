/* SPDX-License-Identifier: ISC */
/* Socket addresses as text.  Hosts are numeric: a daemon that asks the resolver while it
 * starts depends on a network that may not be there yet, and a name can change its
 * meaning under a running service.  Port names come from services(5), a local file. */
#include "address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <netdb.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The longest host text: an IPv6 address, '%' and an interface. */
enum { HOST_MAX = INET6_ADDRSTRLEN + 1 + IFNAMSIZ };

/* The port of services(5) called NAME, whichever of its protocols comes first, or -1. */
static int port_by_name(const char *name)
{
	char buf[2048];
	struct servent entry, *found = NULL;

	if (getservbyname_r(name, NULL, &entry, buf, sizeof(buf), &found) != 0 || !found)
		return -1;
	return ntohs((uint16_t)found->s_port);
}

static int parse_port(const char *text, uint16_t *port, const char **why)
{
	size_t digits = strspn(text, "0123456789");
	int named;

	if (text[0] == '\0') {
		*why = "no port after the colon";
		return -EINVAL;
	}
	if (text[digits] == '\0') {
		unsigned long n = digits <= 6 ? strtoul(text, NULL, 10) : 65536;

		if (n > 65535) {
			*why = "the port is out of range, 0 to 65535";
			return -EINVAL;
		}
		*port = (uint16_t)n;
		return 0;
	}
	named = isalpha((unsigned char)text[0]) ? port_by_name(text) : -1;
	if (named < 0) {
		*why = "the port is neither a number nor a name of services(5)";
		return -EINVAL;
	}
	*port = (uint16_t)named;
	return 0;
}

/* The interface of a scoped address: a name, or an index as address_format() writes for
 * an interface that is gone. */
static int parse_scope(const char *text, uint32_t *scope, const char **why)
{
	char *end;
	unsigned long n;

	*scope = if_nametoindex(text);
	if (*scope)
		return 0;
	errno = 0;
	n = strtoul(text, &end, 10);
	if (isdigit((unsigned char)text[0]) && *end == '\0' && errno == 0 && n > 0 &&
	    n <= INT32_MAX) {
		*scope = (uint32_t)n;
		return 0;
	}
	*why = "no interface has the name after the '%'";
	return -EINVAL;
}

/* HOST is what stands between the brackets; it is changed. */
static int parse_ipv6(char *host, uint16_t port, struct address *out, const char **why)
{
	char *percent = strchr(host, '%');
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

	if (percent)
		*percent++ = '\0';
	if (inet_pton(AF_INET6, host, &in6.sin6_addr) != 1) {
		*why = "what stands in the brackets is no IPv6 address";
		return -EINVAL;
	}
	if (percent) {
		int r = parse_scope(percent, &in6.sin6_scope_id, why);

		if (r < 0)
			return r;
	} else if (IN6_IS_ADDR_LINKLOCAL(&in6.sin6_addr)) {
		*why = "a link-local address needs its interface, as in [fe80::1%eth0]";
		return -EINVAL;
	}
	*out = (struct address){.len = sizeof(in6), .in6 = in6};
	return 0;
}

static void make_ipv4(struct in_addr host, uint16_t port, struct address *out)
{
	*out = (struct address){
		.len = sizeof(struct sockaddr_in),
		.in = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = host},
	};
}

/* Why TEXT has more colons than one. */
static const char *many_colons(const char *text)
{
	static const char digits[] = "0123456789abcdefABCDEF:.%";

	return text[strspn(text, digits)] == '\0' || strchr(text, '%')
		       ? "an IPv6 address stands in brackets, as in [::1]:7"
		       : "an address is HOST:PORT, and protocol a key of its own";
}

/* Split TEXT into HOST (brackets taken off, *BRACKETS says so) and what follows the
 * colon.  Returns that, or NULL with *WHY. */
static const char *split_host(const char *text, char host[HOST_MAX], bool *brackets,
			      const char **why)
{
	const char *begin = text, *end, *colon;

	*brackets = text[0] == '[';
	if (*brackets) {
		begin = text + 1;
		end = strchr(begin, ']');
		if (!end) {
			*why = "no closing bracket";
			return NULL;
		}
		colon = end + 1;
	} else {
		colon = end = text + strcspn(text, ":");
	}
	if (*colon != ':') {
		*why = "no port: an address is HOST:PORT";
		return NULL;
	}
	if (!*brackets && strchr(colon + 1, ':')) {
		*why = many_colons(text);
		return NULL;
	}
	if (end == begin || end - begin >= HOST_MAX) {
		*why = end == begin ? "no host: for every address write *:PORT"
				    : "the host is too long";
		return NULL;
	}
	memcpy(host, begin, (size_t)(end - begin));
	host[end - begin] = '\0';
	return colon + 1;
}

int address_parse_ip(const char *text, struct address out[2], const char **why)
{
	char host[HOST_MAX];
	bool brackets;
	struct in_addr in;
	uint16_t port;
	int r;
	const char *port_text = split_host(text, host, &brackets, why);

	if (!port_text)
		return -EINVAL;
	r = parse_port(port_text, &port, why);
	if (r < 0)
		return r;
	if (brackets) {
		r = parse_ipv6(host, port, &out[0], why);
		return r < 0 ? r : 1;
	}
	if (strcmp(host, "*") == 0) {
		make_ipv4((struct in_addr){.s_addr = htonl(INADDR_ANY)}, port, &out[0]);
		out[1] = (struct address){.len = sizeof(struct sockaddr_in6),
					  .in6 = {.sin6_family = AF_INET6,
						  .sin6_port = htons(port)}};
		return 2;
	}
	if (inet_pton(AF_INET, host, &in) != 1) {
		*why = "the host is no numeric address (names are not looked up)";
		return -EINVAL;
	}
	make_ipv4(in, port, &out[0]);
	return 1;
}

int address_parse_unix(const char *text, struct address *out, const char **why)
{
	size_t len = strlen(text);
	bool abstract = text[0] == '@';
	/* A path keeps its NUL inside sun_path: unix(7) advises it, and it is what makes
	 * getsockname(2) portable.  An abstract name is all bytes, NUL first. */
	size_t max = sizeof(out->un.sun_path) - 1;

	if (len == 0 || (abstract && len == 1)) {
		*why = "the path is empty";
		return -EINVAL;
	}
	if (!abstract && text[0] != '/') {
		*why = "the path is not absolute (\"/run/x.sock\"), nor abstract (\"@name\")";
		return -EINVAL;
	}
	if (len > max) {
		*why = "the path is longer than 107 bytes";
		return -EINVAL;
	}
	*out = (struct address){.un.sun_family = AF_UNIX};
	memcpy(out->un.sun_path, text, len);
	out->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (abstract ? 0 : 1));
	if (abstract)
		out->un.sun_path[0] = '\0';
	return 1;
}

static void format_unix(const struct address *a, char buf[ADDRESS_TEXT_MAX])
{
	size_t offset = offsetof(struct sockaddr_un, sun_path);
	size_t len = a->len > offset ? a->len - offset : 0;
	bool abstract = len > 0 && a->un.sun_path[0] == '\0';

	if (len > sizeof(a->un.sun_path))
		len = sizeof(a->un.sun_path);
	if (!abstract)
		len = strnlen(a->un.sun_path, len);
	if (len == 0 || (abstract && len == 1)) {
		snprintf(buf, ADDRESS_TEXT_MAX, "unnamed");
		return;
	}
	for (size_t i = 0; i < len; i++)
		buf[i] = isprint((unsigned char)a->un.sun_path[i]) ? a->un.sun_path[i] : '?';
	if (abstract)
		buf[0] = '@';
	buf[len] = '\0';
}

static void format_ipv6(const struct sockaddr_in6 *in6, char buf[ADDRESS_TEXT_MAX])
{
	char host[INET6_ADDRSTRLEN], name[IFNAMSIZ], scope[IFNAMSIZ + 1] = "";

	inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
	if (in6->sin6_scope_id && if_indextoname(in6->sin6_scope_id, name))
		snprintf(scope, sizeof(scope), "%%%s", name);
	else if (in6->sin6_scope_id)
		snprintf(scope, sizeof(scope), "%%%u", (unsigned)in6->sin6_scope_id);
	snprintf(buf, ADDRESS_TEXT_MAX, "[%s%s]:%u", host, scope, ntohs(in6->sin6_port));
}

const char *address_format(const struct address *a, char buf[ADDRESS_TEXT_MAX])
{
	char host[INET_ADDRSTRLEN];

	if (a->len < sizeof(sa_family_t)) {
		snprintf(buf, ADDRESS_TEXT_MAX, "unnamed");
		return buf;
	}
	switch (a->sa.sa_family) {
	case AF_INET:
		inet_ntop(AF_INET, &a->in.sin_addr, host, sizeof(host));
		snprintf(buf, ADDRESS_TEXT_MAX, "%s:%u", host, ntohs(a->in.sin_port));
		break;
	case AF_INET6:
		format_ipv6(&a->in6, buf);
		break;
	case AF_UNIX:
		format_unix(a, buf);
		break;
	default:
		snprintf(buf, ADDRESS_TEXT_MAX, "family %d", a->sa.sa_family);
	}
	return buf;
}

const char *address_format_network(const struct address *a, char buf[ADDRESS_TEXT_MAX])
{
	const uint8_t *v6 = a->in6.sin6_addr.s6_addr;
	const uint8_t *v4 = (const uint8_t *)&a->in.sin_addr;
	bool is_v6 = a->len && a->sa.sa_family == AF_INET6;
	bool mapped = is_v6 && IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr);
	struct in6_addr first = IN6ADDR_ANY_INIT;
	char host[INET6_ADDRSTRLEN];

	if (is_v6 && !mapped) {
		memcpy(&first, v6, 6);
		inet_ntop(AF_INET6, &first, host, sizeof(host));
		snprintf(buf, ADDRESS_TEXT_MAX, "%s/48", host);
	} else if (mapped || (a->len && a->sa.sa_family == AF_INET)) {
		v4 = mapped ? v6 + 12 : v4;
		snprintf(buf, ADDRESS_TEXT_MAX, "%u.%u.%u.0/24", v4[0], v4[1], v4[2]);
	} else {
		snprintf(buf, ADDRESS_TEXT_MAX, "unix");
	}
	return buf;
}

static bool unix_equal(const struct address *a, const struct address *b)
{
	size_t offset = offsetof(struct sockaddr_un, sun_path);
	size_t alen = a->len > offset ? a->len - offset : 0;
	size_t blen = b->len > offset ? b->len - offset : 0;

	/* A path ends at its NUL, whether or not that was counted in. */
	if (alen && a->un.sun_path[0] != '\0')
		alen = strnlen(a->un.sun_path, alen);
	if (blen && b->un.sun_path[0] != '\0')
		blen = strnlen(b->un.sun_path, blen);
	return alen == blen && memcmp(a->un.sun_path, b->un.sun_path, alen) == 0;
}

bool address_equal(const struct address *a, const struct address *b)
{
	if (a->len == 0 || b->len == 0)
		return a->len == b->len;
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	switch (a->sa.sa_family) {
	case AF_INET:
		return a->in.sin_port == b->in.sin_port &&
		       a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
	case AF_INET6:
		return a->in6.sin6_port == b->in6.sin6_port &&
		       a->in6.sin6_scope_id == b->in6.sin6_scope_id &&
		       IN6_ARE_ADDR_EQUAL(&a->in6.sin6_addr, &b->in6.sin6_addr);
	case AF_UNIX:
		return unix_equal(a, b);
	default:
		return false;
	}
}

uint16_t address_port(const struct address *a)
{
	if (a->len && a->sa.sa_family == AF_INET)
		return ntohs(a->in.sin_port);
	if (a->len && a->sa.sa_family == AF_INET6)
		return ntohs(a->in6.sin6_port);
	return 0;
}

bool address_is_any(const struct address *a)
{
	if (a->len && a->sa.sa_family == AF_INET)
		return a->in.sin_addr.s_addr == htonl(INADDR_ANY);
	return a->len && a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr);
}
