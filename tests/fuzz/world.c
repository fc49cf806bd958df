/* SPDX-License-Identifier: ISC */
#include "world.h"

#include "conf_node.h"
#include "conf_override.h"
#include "engine.h"
#include "fuzz.h"
#include "memory.h"

#include <stdio.h>

enum { DEFAULTS = 200 };

static bool has_rings;

/* What the defaults are, and which was the last that was asked for. */
static struct {
	const char *text[DEFAULTS];
	struct conf_node *node[DEFAULTS];
	size_t n, last;
} defaults;

struct conf_node *__real_conf_override_value(const char *text);
struct conf_node *__wrap_conf_override_value(const char *text);
struct conf_node *__real_node_free(struct conf_node *n);
struct conf_node *__wrap_node_free(struct conf_node *n);
bool __wrap_engine_works(const struct engine *engine, char text[ENGINE_TEXT_MAX]);
bool __wrap_memory_for(size_t n);

void world_has_rings(bool yes)
{
	has_rings = yes;
}

bool __wrap_engine_works(const struct engine *engine, char text[ENGINE_TEXT_MAX])
{
	if (!engine->probe || has_rings)
		return true;
	snprintf(text, ENGINE_TEXT_MAX, "there is none");
	return false;
}

bool __wrap_memory_for(size_t n)
{
	(void)n;
	return true;
}

/* They are asked for in the same order again and again, and nobody changes them. */
FUZZ_JUDGE struct conf_node *__wrap_conf_override_value(const char *text)
{
	for (size_t i = 0; i < defaults.n; i++) {
		defaults.last = (defaults.last + 1) % defaults.n;
		if (defaults.text[defaults.last] == text)
			return defaults.node[defaults.last];
	}
	PROMISE(defaults.n < DEFAULTS);
	defaults.last = defaults.n++;
	defaults.text[defaults.last] = text;
	defaults.node[defaults.last] = __real_conf_override_value(text);
	return defaults.node[defaults.last];
}

FUZZ_JUDGE struct conf_node *__wrap_node_free(struct conf_node *n)
{
	if (!n || n == defaults.node[defaults.last]) {
		PROMISE(!n || !n->bad);
		return NULL;
	}
	return __real_node_free(n);
}
