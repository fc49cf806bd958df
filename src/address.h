/* SPDX-License-Identifier: ISC */
/* address.h - socket addresses as people write them, to and from struct sockaddr. */
#ifndef ECHOD_ADDRESS_H
#define ECHOD_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

/* A socket address of any family that echod serves. */
struct address {
	socklen_t len; /* bytes of the union in use; 0 = no address */
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	};
};

/* Room for the text of any address, brackets, scope, port and NUL included. */
enum { ADDRESS_TEXT_MAX = 128 };

/* Parse "127.0.0.1:7", "[::1]:7", "[fe80::1%eth0]:echo", "*:7" (both families: two
 * addresses, IPv6's second) into OUT.  The port is a decimal number 0 to 65535 or a
 * name of services(5); hosts are numeric, never looked up.  Returns the number of
 * addresses, 1 or 2; or -EINVAL with *WHY a phrase for the user ("no port",
 * "port 70000 is out of range", ...), static storage. */
int address_parse_ip(const char *text, struct address out[2], const char **why);

/* Parse a path of unix(7): "/run/x.sock", or "@name" for the abstract name space.
 * Returns 1, or -EINVAL with *WHY set (empty, relative, longer than 107 bytes). */
int address_parse_unix(const char *text, struct address *out, const char **why);

/* The text of A into BUF (ADDRESS_TEXT_MAX bytes), in the form that the parsers take;
 * "unnamed" for a UNIX socket without a name.  Bytes that do not print become '?'.
 * Returns BUF. */
const char *address_format(const struct address *a, char buf[ADDRESS_TEXT_MAX]);

/* The network of A, for those who are not to know the host: "192.0.2.0/24", "2001:db8::/48",
 * "unix".  Returns BUF. */
const char *address_format_network(const struct address *a, char buf[ADDRESS_TEXT_MAX]);

/* Do A and B name the same endpoint (family, address, scope, port; path)? */
bool address_equal(const struct address *a, const struct address *b);

/* Port of an IP address in host byte order; 0 for UNIX. */
uint16_t address_port(const struct address *a);

/* Is A the wildcard of its family (0.0.0.0 or ::)? */
bool address_is_any(const struct address *a);

#endif
