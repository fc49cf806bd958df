/* SPDX-License-Identifier: ISC */
/* The rows of the schema, and etc/echod.conf against them. */
#include "loaded.h"

#include "conf_node.h"
#include "conf_override.h"
#include "conf_schema.h"

#include <ctype.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void test_schema(void **state)
{
	char allowed[240];

	(void)state;
	for (size_t i = 0; i < n_conf_keys; i++) {
		const struct conf_key *key = &conf_keys[i];
		bool service = strncmp(key->path, CONF_SERVICE, strlen(CONF_SERVICE)) == 0;

		assert_ptr_equal(conf_key_find(key->path), key);
		assert_int_equal(key->protocols != 0, service);
		assert_int_equal(key->text[strlen(key->text) - 1], '.');
		assert_true(key->min <= key->max);
		assert_true(strlen(conf_key_allowed(key, allowed, sizeof(allowed))) <
			    sizeof(allowed) - 1);
		assert_true(key->def || key->type == KEY_SOCKET || strstr(key->path, ".name") ||
			    strstr(key->path, ".listen"));
	}
	assert_null(conf_key_find("services"));
	assert_true(conf_key_group("log"));
	assert_true(conf_key_group("services[].udp"));
	assert_false(conf_key_group("shutdown_timeout"));
	assert_false(conf_key_group("lo"));
}

static void test_suggest(void **state)
{
	static const struct {
		const char *prefix, *name, *found;
	} rows[] = {
		{"", "shutdown_timout", "shutdown_timeout"},
		{"", "Log", "log"},
		{"", "service", "services"},
		{"services[].", "backlgo", "backlog"},
		{"services[].", "idletimeout", "idle_timeout"},
		{"services[].", "model_", "model"},
		{"services[].udp.", "group", "groups"},
		{"services[].socket.", "SO_RCVBUFF", "SO_RCVBUF"},
		{"services[].socket.", "so_rcvbuf", NULL},
		{"", "backlog", "services[].backlog"},
		{"services[].", "TCP_NODELAY", "services[].socket.TCP_NODELAY"},
		{"services[].", "level", "log.level"},
		{"", "zzzzzz", NULL},
		{"", "x", NULL},
		{"services[].", "a_name_that_is_longer_than_any_of_ours_can_be", NULL},
	};
	char buf[80];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *found = conf_key_suggest(rows[i].prefix, rows[i].name, buf,
						     sizeof(buf));

		if (!rows[i].found && found)
			fail_msg("%s: %s", rows[i].name, found);
		if (rows[i].found)
			assert_string_equal(found ? found : "(nothing)", rows[i].found);
	}
}

static char *read_shipped(const char *name)
{
	const char *srcdir = getenv("srcdir");
	char file[512], *text = NULL;
	size_t size = 0;
	FILE *f;

	snprintf(file, sizeof(file), "%s/etc/%s", srcdir ? srcdir : ".", name);
	f = fopen(file, "r");
	if (!f)
		return NULL;
	assert_true(getdelim(&text, &size, '\0', f) > 0);
	fclose(f);
	return text;
}

/* The value that TEXT gives KEY, at a line "key = value;" or "# key = value;" of its
 * group; or NULL.  The group of a service's key is looked for in all services. */
static char *shipped_value(const char *text, const char *key)
{
	const char *dot = strrchr(key, '.');
	const char *name = dot ? dot + 1 : key;
	size_t len = strlen(name);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		const char *p = line + strspn(line, "\n\t# ");

		if (strncmp(p, name, len) == 0 && strncmp(p + len, " = ", 3) == 0 &&
		    p[len + 3] != '{')
			return strndup(p + len + 3, strcspn(p + len + 3, ";"));
		line += line[0] == '\n';
	}
	return NULL;
}

/* What two texts say as a value, white space and quotes apart. */
static void assert_same_value(const char *key, const char *shipped, const char *def)
{
	struct conf_node *a = conf_override_value(shipped), *b = conf_override_value(def);
	char x[80], y[80];

	assert_int_equal(a->n, b->n);
	for (size_t i = 0; i < a->n; i++)
		assert_int_equal(a->child[i]->number, b->child[i]->number);
	if (strcmp(node_describe(a, x, sizeof(x)), node_describe(b, y, sizeof(y))) != 0)
		fail_msg("etc/echod.conf: %s = %s, the default is %s", key, x, y);
	node_free(a);
	node_free(b);
}

static void test_shipped(void **state)
{
	char *text = read_shipped("echod.conf");

	(void)state;
	if (!text)
		skip();
	for (size_t i = 0; i < n_conf_keys; i++) {
		const struct conf_key *key = &conf_keys[i];
		char *value = key->type == KEY_SOCKET ? NULL : shipped_value(text, key->path);

		if (!value && key->type != KEY_SOCKET)
			fail_msg("etc/echod.conf lacks %s", key->path);
		if (value && key->def)
			assert_same_value(key->path, value, key->def);
		free(value);
	}
	for (size_t i = 0; i < n_sockopts; i++) {
		char *value = shipped_value(text, sockopts[i].name);

		assert_int_equal(value == NULL, sockopts[i].refused != NULL);
		free(value);
	}
	free(text);
}

/* A default that is written is the same as one that is not. */
static void test_shipped_says_defaults(void **state)
{
	char *text = read_shipped("echod.conf"), *said, *unsaid;
	struct conf *c;

	(void)state;
	if (!text)
		skip();
	c = load_text(text);
	said = dump(c);
	conf_free(c);
	c = load_text("services = ( { listen = [ \"127.0.0.1:7\", \"[::1]:7\" ]; }, "
		      "{ protocol = \"udp\"; listen = [ \"127.0.0.1:7\", \"[::1]:7\" ]; } );");
	unsaid = dump(c);
	conf_free(c);
	assert_string_equal(said, unsaid);
	free(said);
	free(unsaid);
	free(text);
}

/* Each example line of etc/echod.conf is right: all socket options are taken. */
static void test_shipped_examples(void **state)
{
	char *text = read_shipped("echod.conf");
	struct conf *c;

	(void)state;
	if (!text)
		skip();
	for (char *p = text; (p = strstr(p, "\t# ")); p++)
		if (isupper((unsigned char)p[3]) &&
		    strncmp(p + 3 + strcspn(p + 3, " \n"), " = ", 3) == 0)
			p[1] = ' ';
	c = load_text(text);
	assert_true(option(&c->services[0], "TCP_LINGER2")->set);
	assert_true(option(&c->services[1], "IPV6_ADD_MEMBERSHIP")->set);
	conf_free(c);
	free(text);
	text = read_shipped("echod-run.conf");
	conf_free(load_text(text));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_schema),
		cmocka_unit_test(test_suggest),
		cmocka_unit_test(test_shipped),
		cmocka_unit_test(test_shipped_says_defaults),
		cmocka_unit_test(test_shipped_examples),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
