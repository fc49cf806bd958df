/* SPDX-License-Identifier: ISC */
/* The lists of networks: from their words into what a worker asks for each client. */
#include "conf_build.h"

#include "conf.h"
#include "conf_node.h"

#include <stdlib.h>

/* One word of a list. */
struct entry {
	struct acl_rule rule;
	const char *path;
	size_t index; /* in the list of PATH */
};

/* The lists that together make one answer. */
struct entries {
	struct entry *entry;
	size_t n;
};

static void add(struct build *b, size_t i, struct entries *all, const struct entry *e, char **texts)
{
	char why[PREFIX_WHY_MAX];

	all->entry[all->n] = *e;
	if (prefix_parse(texts[e->index], &all->entry[all->n].rule.prefix, why) < 0)
		complain(b->complaints, conf_build_element(b, i, e->path, e->index),
			 "services[%zu].%s[%zu]: \"%.60s\" %s", i, e->path, e->index,
			 texts[e->index], why);
	else
		all->n++;
}

static void add_list(struct build *b, size_t i, struct entries *all, struct entry *list, size_t n,
		     char **texts)
{
	if (conf_build_bad(b, i, list->path))
		return;
	for (list->index = 0; list->index < n; list->index++)
		add(b, i, all, list, texts);
}

static int by_prefix(const void *a, const void *b)
{
	const struct entry *one = a, *two = b;

	return prefix_compare(&one->rule.prefix, &two->rule.prefix);
}

/* The same network in allow and in deny: which of the two was meant? */
static void check_contradictions(struct build *b, size_t i, struct entries *all)
{
	char text[PREFIX_TEXT_MAX];

	if (all->n > 0)
		qsort(all->entry, all->n, sizeof(*all->entry), by_prefix);
	for (size_t k = 1; k < all->n; k++) {
		const struct entry *one = &all->entry[k - 1], *two = &all->entry[k];
		const struct entry *no = two->rule.yes ? one : two;

		if (one->rule.yes != two->rule.yes && by_prefix(one, two) == 0)
			complain(b->complaints, conf_build_element(b, i, no->path, no->index),
				 "services[%zu].%s[%zu]: %s is in allow too", i, no->path,
				 no->index, prefix_format(&no->rule.prefix, text));
	}
}

static void build(struct build *b, struct entries *all, struct acl *out, bool otherwise)
{
	struct acl_rule *rules = calloc(all->n + 1, sizeof(*rules));

	for (size_t k = 0; rules && k < all->n; k++)
		rules[k] = all->entry[k].rule;
	if (!rules || acl_build(out, rules, all->n, otherwise) < 0)
		b->complaints->no_memory = true;
	free(rules);
}

void conf_access(struct build *b, size_t i)
{
	struct service_conf *s = &b->conf->services[i];
	struct entries all = {
		.entry = calloc(s->n_allow + s->n_deny + s->n_exempt + s->n_proxy_trusted + 1,
				sizeof(*all.entry)),
	};

	if (!all.entry) {
		b->complaints->no_memory = true;
		return;
	}
	add_list(b, i, &all, &(struct entry){.rule.yes = true, .path = "allow"}, s->n_allow,
		 s->allow);
	add_list(b, i, &all, &(struct entry){.path = "deny"}, s->n_deny, s->deny);
	check_contradictions(b, i, &all);
	build(b, &all, &s->access, s->n_allow == 0);
	all.n = 0;
	add_list(b, i, &all, &(struct entry){.rule.yes = true, .path = "exempt"}, s->n_exempt,
		 s->exempt);
	build(b, &all, &s->exempted, false);
	all.n = 0;
	add_list(b, i, &all, &(struct entry){.rule.yes = true, .path = "proxy_trusted"},
		 s->n_proxy_trusted, s->proxy_trusted);
	build(b, &all, &s->trusted, false);
	free(all.entry);
}
