/* SPDX-License-Identifier: ISC */
/* The header of the PROXY protocol.  It is parsed from its beginning each time that more of it
 * has come: proxies send it whole, and it is short.  Nothing is guessed: who may send a header
 * may say who a client is, so one that another reader could read otherwise is refused. */
#include "proxy.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

const char *const proxy_faults[N_PROXY_FAULTS] = {
	[PROXY_NO_HEADER] = "no PROXY header",
	[PROXY_UNENDED] = "a header of version 1 without an end",
	[PROXY_LINE_END] = "a header of version 1 that does not end with CR LF",
	[PROXY_FIELDS] = "a header of version 1 without the six fields",
	[PROXY_FAMILY] = "a family that no stream has",
	[PROXY_ADDRESS] = "an address that is none of its family",
	[PROXY_PORT] = "a port that is no number from 0 to 65535",
	[PROXY_VERSION] = "a header of an unknown version",
	[PROXY_COMMAND] = "a command that is neither LOCAL nor PROXY",
	[PROXY_LENGTH] = "a length too short for its addresses",
	[PROXY_TOO_LONG] = "a header longer than 2064 bytes",
	[PROXY_TLV] = "a TLV longer than its header",
	[PROXY_CHECKSUM] = "a wrong checksum",
};

/* What the two versions begin with.  No NUL ends the second. */
static const char v1_start[] = "PROXY ";
static const char v2_start[] = "\r\n\r\n\0\r\nQUIT\n";
enum { V1_START = sizeof(v1_start) - 1, V2_START = sizeof(v2_start) - 1 };

/* Are the N bytes at P the beginning of START, or begin with it? */
static bool begins(const char *p, size_t n, const char *start, size_t length)
{
	return memcmp(p, start, n < length ? n : length) == 0;
}

/* --- version 1: a line of text --- */

/* "TCP4 192.0.2.1 198.51.100.1 40000 7": its fields. */
enum { V1_FAMILY, V1_SOURCE, V1_DESTINATION, V1_SOURCE_PORT, V1_DESTINATION_PORT, V1_FIELDS };

/* Split LINE at each space.  Returns false if there are not just the fields, none empty. */
static bool split(char *line, char *field[V1_FIELDS])
{
	for (int i = 0; i < V1_FIELDS; i++) {
		size_t n = strcspn(line, " ");
		bool last = line[n] == '\0';

		if (n == 0 || last != (i == V1_FIELDS - 1))
			return false;
		line[n] = '\0';
		field[i] = line;
		line += n + 1;
	}
	return true;
}

/* A port as short as it can be written. */
static bool parse_port(const char *text, uint16_t *port)
{
	size_t n = strspn(text, "0123456789");
	unsigned long value;

	if (n == 0 || n > 5 || text[n] != '\0' || (text[0] == '0' && n > 1))
		return false;
	value = strtoul(text, NULL, 10);
	*port = htons((uint16_t)value);
	return value <= UINT16_MAX;
}

static int parse_endpoint(int family, const char *host, const char *port, struct address *out)
{
	uint16_t number;

	*out = (struct address){.len = family == AF_INET ? sizeof(out->in) : sizeof(out->in6)};
	out->sa.sa_family = (sa_family_t)family;
	if (inet_pton(family, host,
		      family == AF_INET ? (void *)&out->in.sin_addr : &out->in6.sin6_addr) != 1)
		return -PROXY_ADDRESS;
	if (!parse_port(port, &number))
		return -PROXY_PORT;
	if (family == AF_INET)
		out->in.sin_port = number;
	else
		out->in6.sin6_port = number;
	return 0;
}

/* LINE is what stands between "PROXY " and CR LF; it is changed. */
static int parse_line(char *line, struct proxy_header *h)
{
	char *field[V1_FIELDS];
	int family, r;

	/* Whatever follows UNKNOWN is to be ignored. */
	if (strcmp(line, "UNKNOWN") == 0 || strncmp(line, "UNKNOWN ", 8) == 0)
		return 0;
	if (!split(line, field))
		return -PROXY_FIELDS;
	if (strcmp(field[V1_FAMILY], "TCP4") == 0)
		family = AF_INET;
	else if (strcmp(field[V1_FAMILY], "TCP6") == 0)
		family = AF_INET6;
	else
		return -PROXY_FAMILY;
	r = parse_endpoint(family, field[V1_SOURCE], field[V1_SOURCE_PORT], &h->source);
	if (r == 0)
		r = parse_endpoint(family, field[V1_DESTINATION], field[V1_DESTINATION_PORT],
				   &h->destination);
	return r;
}

static int parse_v1(const char *p, size_t n, struct proxy_header *h)
{
	size_t most = n < PROXY_V1_MAX ? n : PROXY_V1_MAX, end = 0;
	char line[PROXY_V1_MAX];
	int r;

	while (end < most && p[end] != '\r' && p[end] != '\n' && p[end] != '\0')
		end++;
	if (end == most || (end + 1 == most && p[end] == '\r'))
		return most == PROXY_V1_MAX ? -PROXY_UNENDED : 0;
	if (p[end] != '\r' || p[end + 1] != '\n')
		return p[end] == '\0' ? -PROXY_FIELDS : -PROXY_LINE_END;
	memcpy(line, p + V1_START, end - V1_START);
	line[end - V1_START] = '\0';
	h->version = 1;
	r = parse_line(line, h);
	return r < 0 ? r : (int)end + 2;
}

/* --- version 2: binary --- */

enum {
	V2_VERSION_COMMAND = 12, /* offset of the byte with both */
	V2_FAMILY = 13,          /* of the byte with family and transport */
	V2_LENGTH = 14,          /* of the number of bytes that follow, 16 bits */
	V2_VERSION = 0x20,
	V2_LOCAL = 0,
	V2_PROXY = 1,
	V2_UNIX_PATH = 108,
	TLV_FIXED = 3, /* bytes of a TLV before its value: type, length */
	TLV_CRC32C = 0x03
};

/* A 16-bit number in network byte order. */
static size_t number16(const char *p)
{
	return (size_t)(uint8_t)p[0] << 8 | (uint8_t)p[1];
}

static void take_ipv4(const char *p, struct proxy_header *h)
{
	h->source.len = h->destination.len = sizeof(h->source.in);
	h->source.in.sin_family = h->destination.in.sin_family = AF_INET;
	memcpy(&h->source.in.sin_addr, p, 4);
	memcpy(&h->destination.in.sin_addr, p + 4, 4);
	memcpy(&h->source.in.sin_port, p + 8, 2);
	memcpy(&h->destination.in.sin_port, p + 10, 2);
}

static void take_ipv6(const char *p, struct proxy_header *h)
{
	h->source.len = h->destination.len = sizeof(h->source.in6);
	h->source.in6.sin6_family = h->destination.in6.sin6_family = AF_INET6;
	memcpy(&h->source.in6.sin6_addr, p, 16);
	memcpy(&h->destination.in6.sin6_addr, p + 16, 16);
	memcpy(&h->source.in6.sin6_port, p + 32, 2);
	memcpy(&h->destination.in6.sin6_port, p + 34, 2);
}

static void take_path(const char *p, struct address *a)
{
	a->len = sizeof(a->un);
	a->un.sun_family = AF_UNIX;
	memcpy(a->un.sun_path, p, V2_UNIX_PATH);
}

static void take_unix(const char *p, struct proxy_header *h)
{
	take_path(p, &h->source);
	take_path(p + V2_UNIX_PATH, &h->destination);
}

static void take_nothing(const char *p, struct proxy_header *h)
{
	(void)p;
	(void)h;
}

/* The families of version 2 that a stream can have. */
static const struct v2_family {
	uint8_t code;
	size_t size; /* bytes of its addresses */
	void (*take)(const char *p, struct proxy_header *h);
} v2_families[] = {
	{0x00, 0, take_nothing},
	{0x11, 12, take_ipv4},
	{0x21, 36, take_ipv6},
	{0x31, 2 * V2_UNIX_PATH, take_unix},
};

/* CRC-32C (RFC 3720, appendix B.4) of the N bytes at P with the four at ZERO taken for 0. */
static uint32_t crc32c(const char *p, size_t n, const char *zero)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < n; i++) {
		crc ^= p + i >= zero && p + i < zero + 4 ? 0 : (uint8_t)p[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

/* Go through the TLVs from AT to the end of the N bytes at P: what they say is not used, but
 * they must fit, and a checksum must be right. */
static int check_tlvs(const char *p, size_t n, size_t at)
{
	while (at < n) {
		const char *value = p + at + TLV_FIXED;
		uint32_t sum;
		size_t length;

		if (n - at < TLV_FIXED)
			return -PROXY_TLV;
		length = number16(p + at + 1);
		if (length > n - at - TLV_FIXED)
			return -PROXY_TLV;
		if (p[at] == TLV_CRC32C) {
			if (length != sizeof(sum))
				return -PROXY_TLV;
			memcpy(&sum, value, sizeof(sum));
			if (ntohl(sum) != crc32c(p, n, value))
				return -PROXY_CHECKSUM;
		}
		at += TLV_FIXED + length;
	}
	return 0;
}

/* The header of N bytes at P is complete; its addresses are a client's. */
static int parse_client(const char *p, size_t n, struct proxy_header *h)
{
	for (size_t i = 0; i < sizeof(v2_families) / sizeof(v2_families[0]); i++) {
		const struct v2_family *f = &v2_families[i];
		int r;

		if (f->code != (uint8_t)p[V2_FAMILY])
			continue;
		if (n < PROXY_V2_FIXED + f->size)
			return -PROXY_LENGTH;
		/* Of an unspecified family all that follows is to be ignored. */
		r = f->size ? check_tlvs(p, n, PROXY_V2_FIXED + f->size) : 0;
		if (r < 0)
			return r;
		f->take(p + PROXY_V2_FIXED, h);
		return (int)n;
	}
	return -PROXY_FAMILY;
}

static int parse_v2(const char *p, size_t n, struct proxy_header *h)
{
	size_t length;
	int command;

	if (n <= V2_VERSION_COMMAND)
		return 0;
	if (((uint8_t)p[V2_VERSION_COMMAND] & 0xf0) != V2_VERSION)
		return -PROXY_VERSION;
	command = p[V2_VERSION_COMMAND] & 0x0f;
	if (command != V2_LOCAL && command != V2_PROXY)
		return -PROXY_COMMAND;
	if (n < PROXY_V2_FIXED)
		return 0;
	length = PROXY_V2_FIXED + number16(p + V2_LENGTH);
	if (length > PROXY_MAX)
		return -PROXY_TOO_LONG;
	if (n < length)
		return 0;
	h->version = 2;
	/* The proxy's own connection, to see whether we live: its addresses are to be ignored. */
	return command == V2_LOCAL ? (int)length : parse_client(p, length, h);
}

int proxy_parse(const char *p, size_t n, struct proxy_header *header)
{
	*header = (struct proxy_header){.version = 0};
	if (begins(p, n, v1_start, V1_START))
		return n < V1_START ? 0 : parse_v1(p, n, header);
	if (begins(p, n, v2_start, V2_START))
		return parse_v2(p, n, header);
	return -PROXY_NO_HEADER;
}
