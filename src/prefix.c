/* SPDX-License-Identifier: ISC */
/* Networks as two numbers, so that to compare and to cut are a few instructions. */
#include "prefix.h"

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAPPED_BITS = 96 /* of ::ffff:0.0.0.0/96, RFC 4291, 2.5.5.2 */ };

static void from_v4(const void *bytes, struct prefix *out)
{
	uint32_t host;

	memcpy(&host, bytes, sizeof(host));
	*out = (struct prefix){.lo = ntohl(host), .width = 32, .bits = 32};
}

static void from_v6(const struct in6_addr *a, struct prefix *out)
{
	uint64_t half[2];

	if (IN6_IS_ADDR_V4MAPPED(a)) {
		from_v4(&a->s6_addr[12], out);
		return;
	}
	memcpy(half, a, sizeof(half));
	*out = (struct prefix){.hi = be64toh(half[0]),
			       .lo = be64toh(half[1]),
			       .width = 128,
			       .bits = 128};
}

bool prefix_of(const struct address *a, struct prefix *out)
{
	if (a->len == 0)
		return false;
	if (a->sa.sa_family == AF_INET)
		from_v4(&a->in.sin_addr, out);
	else if (a->sa.sa_family == AF_INET6)
		from_v6(&a->in6.sin6_addr, out);
	else
		return false;
	return true;
}

/* The highest N of 64 bits. */
static uint64_t mask(unsigned n)
{
	return n == 0 ? 0 : ~UINT64_C(0) << (64 - n);
}

struct prefix prefix_cut(struct prefix p, unsigned bits)
{
	if (bits >= p.bits)
		return p;
	p.bits = (uint8_t)bits;
	if (p.width == 32) {
		p.lo &= mask(32 + bits);
	} else {
		p.hi &= mask(bits < 64 ? bits : 64);
		p.lo &= mask(bits < 64 ? 0 : bits - 64);
	}
	return p;
}

bool prefix_has(const struct prefix *net, const struct prefix *p)
{
	struct prefix cut = prefix_cut(*p, net->bits);

	return net->width == p->width && net->bits <= p->bits && net->hi == cut.hi &&
	       net->lo == cut.lo;
}

int prefix_compare(const struct prefix *a, const struct prefix *b)
{
	if (a->width != b->width)
		return a->width < b->width ? -1 : 1;
	if (a->hi != b->hi)
		return a->hi < b->hi ? -1 : 1;
	if (a->lo != b->lo)
		return a->lo < b->lo ? -1 : 1;
	return a->bits == b->bits ? 0 : a->bits < b->bits ? -1 : 1;
}

const char *prefix_format(const struct prefix *p, char buf[PREFIX_TEXT_MAX])
{
	uint64_t half[2] = {htobe64(p->hi), htobe64(p->lo)};
	uint32_t v4 = htonl((uint32_t)p->lo);
	char host[INET6_ADDRSTRLEN];

	if (p->width == 32)
		inet_ntop(AF_INET, &v4, host, sizeof(host));
	else
		inet_ntop(AF_INET6, half, host, sizeof(host));
	if (p->bits == p->width)
		snprintf(buf, PREFIX_TEXT_MAX, "%s", host);
	else
		snprintf(buf, PREFIX_TEXT_MAX, "%s/%u", host, p->bits);
	return buf;
}

/* The address HOST, of LEN bytes.  *MAPPED: it was written as IPv6 and is IPv4. */
static int parse_host(const char *text, size_t len, struct prefix *out, bool *mapped)
{
	char host[INET6_ADDRSTRLEN];
	struct in6_addr six;
	struct in_addr four;

	*mapped = false;
	if (len >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, len);
	host[len] = '\0';
	if (inet_pton(AF_INET, host, &four) == 1) {
		from_v4(&four, out);
		return 0;
	}
	if (inet_pton(AF_INET6, host, &six) != 1)
		return -EINVAL;
	from_v6(&six, out);
	*mapped = out->width == 32;
	return 0;
}

/* A decimal number of at most three digits; or -1. */
static int parse_bits(const char *text)
{
	size_t digits = strspn(text, "0123456789");

	if (digits == 0 || digits > 3 || text[digits] != '\0' || (text[0] == '0' && digits > 1))
		return -1;
	return atoi(text);
}

int prefix_parse(const char *text, struct prefix *out, char why[PREFIX_WHY_MAX])
{
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	char network[PREFIX_TEXT_MAX], alone[PREFIX_TEXT_MAX];
	struct prefix host, net;
	bool mapped;
	int bits, least;

	if (parse_host(text, len, &host, &mapped) < 0) {
		snprintf(why, PREFIX_WHY_MAX,
			 "is no network of IPv4 or IPv6 (such as 192.0.2.0/24 or 2001:db8::/32)");
		return -EINVAL;
	}
	least = mapped ? MAPPED_BITS : 0;
	bits = slash ? parse_bits(slash + 1) : least + host.width;
	if (bits < least || bits > least + host.width) {
		snprintf(why, PREFIX_WHY_MAX, "has no prefix length of %d to %d behind the slash",
			 least, least + host.width);
		return -EINVAL;
	}
	net = prefix_cut(host, (unsigned)(bits - least));
	if (net.hi != host.hi || net.lo != host.lo) {
		snprintf(why, PREFIX_WHY_MAX, "is a host in a network: write %s or %s",
			 prefix_format(&net, network), prefix_format(&host, alone));
		return -EINVAL;
	}
	*out = net;
	return 0;
}
