/* SPDX-License-Identifier: ISC */
/* Headers of the PROXY protocol: however they come in pieces, the verdict is the same, and what
 * follows a header is not looked at. */
#include "fuzz.h"

#include "proxy.h"

static void check(const struct proxy_header *h, int length, size_t n)
{
	PROMISE(length <= (int)n && length <= PROXY_MAX);
	PROMISE(h->version == 1 || h->version == 2);
	PROMISE((h->source.len == 0) == (h->destination.len == 0));
	PROMISE(h->source.len <= sizeof(h->source.un));
	PROMISE(h->source.len == 0 || h->source.sa.sa_family == h->destination.sa.sa_family);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct proxy_header whole, part;
	int all = proxy_parse((const char *)data, size, &whole), r = 0;
	char *copy = fuzz_text(data, size);
	size_t n = 0;

	PROMISE(all != 0 || size < PROXY_MAX);
	while (r == 0 && n < size) {
		/* Each ends where the memory ends: a sanitizer sees who goes on. */
		n++;
		memmove(copy + size - n, data, n);
		r = proxy_parse(copy + size - n, n, &part);
	}
	free(copy);
	PROMISE(size == 0 || r == all);
	if (all < 0)
		PROMISE(-all < N_PROXY_FAULTS && proxy_faults[-all]);
	if (all > 0) {
		check(&whole, all, size);
		PROMISE(part.version == whole.version && part.source.len == whole.source.len);
	}
	return 0;
}
