/* SPDX-License-Identifier: ISC */
/* A UNIX client can bind a name, put a link to a service in its place, and ask another service: the
 * answer goes to the first, whose own name is then that of who asks. */
#include "own.h"

#include "address.h"

#include <string.h>
#include <sys/socket.h>

enum { PARTS = 4, PART = 16 /* bits */ };

void own_clear(struct own *o, const struct siphash_key *key)
{
	o->key = *key;
	memset(&o->ports, 0, sizeof(o->ports));
	memset(&o->names, 0, sizeof(o->names));
}

static uint64_t hash_name(const struct own *o, const struct address *a)
{
	size_t offset = offsetof(struct sockaddr_un, sun_path);
	size_t size = a->len > offset ? a->len - offset : 0;

	/* A path ends at its NUL, whether or not that was counted in. */
	if (size > 0 && a->un.sun_path[0] != '\0')
		size = strnlen(a->un.sun_path, size);
	return siphash(&o->key, a->un.sun_path, size);
}

void own_add(struct own *o, const struct address *a)
{
	uint64_t hash;

	if (a->sa.sa_family != AF_UNIX) {
		ports_add(&o->ports, address_port(a));
		return;
	}
	hash = hash_name(o, a);
	for (int i = 0; i < PARTS; i++)
		ports_add(&o->names, (uint16_t)(hash >> i * PART));
}

bool own_has(const struct own *o, const struct address *a)
{
	uint64_t hash;

	if (a->sa.sa_family != AF_UNIX)
		return ports_have(&o->ports, address_port(a));
	hash = hash_name(o, a);
	for (int i = 0; i < PARTS; i++)
		if (!ports_have(&o->names, (uint16_t)(hash >> i * PART)))
			return false;
	return true;
}
