/* SPDX-License-Identifier: ISC */
/* Lists of networks, against a plain walk through all of them; and the text of a network, which
 * says the same when it is read again. */
#include "fuzz.h"

#include "acl.h"

enum { RULES = 40, STEP = 4 };

/* Networks that lie near each other, so that rules meet: the bytes choose a few bits of each. */
static struct prefix make(const uint8_t *d)
{
	struct prefix p = {.width = d[0] & 1 ? 128 : 32};
	uint64_t top = (uint64_t)d[1] << 56 | (uint64_t)d[2] << 8, low = d[2];

	p.bits = p.width;
	if (p.width == 32) {
		p.lo = (uint64_t)d[1] << 24 | d[2];
	} else {
		p.hi = top;
		p.lo = low;
	}
	return prefix_cut(p, d[3] % (p.width + 1u));
}

FUZZ_JUDGE static bool plainly(const struct acl_rule *rules, size_t n, const struct prefix *host,
			       bool other)
{
	const struct acl_rule *best = NULL;

	for (size_t i = 0; i < n; i++) {
		const struct acl_rule *r = &rules[i];

		if (!prefix_has(&r->prefix, host))
			continue;
		if (!best || r->prefix.bits > best->prefix.bits ||
		    (r->prefix.bits == best->prefix.bits && !r->yes))
			best = r;
	}
	return best ? best->yes : other;
}

static void check_text(const struct prefix *p)
{
	char text[PREFIX_TEXT_MAX], why[PREFIX_WHY_MAX] = "";
	struct prefix again;

	PROMISE(prefix_parse(prefix_format(p, text), &again, why) == 0);
	PROMISE(again.hi == p->hi && again.lo == p->lo && again.bits == p->bits);
	PROMISE(again.width == p->width);
}

/* Any text: refused with a reason, or a network. */
static void parse_text(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size), why[PREFIX_WHY_MAX] = "";
	struct prefix p;

	if (prefix_parse(text, &p, why) == 0)
		check_text(&p);
	else
		PROMISE(why[0] && memchr(why, '\0', sizeof(why)));
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct acl_rule rules[RULES], ordered[RULES];
	size_t n = 0, at = 1;
	struct acl a;

	parse_text(data, size < 200 ? size : 200);
	if (size == 0)
		return 0;
	for (; n < RULES && n < data[0] % RULES && at + STEP <= size; at += STEP, n++)
		rules[n] = (struct acl_rule){.prefix = make(data + at), .yes = data[at] & 2};
	memcpy(ordered, rules, sizeof(rules));
	PROMISE(acl_build(&a, ordered, n, data[0] & 0x80) == 0);
	for (; at + STEP <= size; at += STEP) {
		struct prefix host = make(data + at);

		host.bits = host.width;
		check_text(&host);
		PROMISE(acl_says(&a, &host) == plainly(rules, n, &host, data[0] & 0x80));
	}
	acl_clear(&a);
	return 0;
}
