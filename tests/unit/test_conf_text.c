/* SPDX-License-Identifier: ISC */
/* The check of a configuration's text: what passes is what libconfig is given, what does
 * not pass has one complaint with its line. */
#include "conf_text.h"

#include "conf.h"
#include "conf_file.h"
#include "conf_node.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[] = "/tmp/echod-conf-XXXXXX";

static void write_file(const char *name, const char *data, size_t len)
{
	char path[256];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	close(fd);
}

/* The complaint about a file with DATA, its directory taken away; "" if there is none. */
static const char *complaint_about(const char *data, size_t len)
{
	static char line[512];
	struct conf_text t;
	struct complaints c = {0};
	struct problems p;
	char path[256];
	int r;

	write_file("main", data, len);
	snprintf(path, sizeof(path), "%s/main", directory);
	r = conf_text_file(&t, path, &c);
	complaints_report(&c, &p);
	assert_int_equal(p.n, r < 0 ? 1 : 0);
	line[0] = '\0';
	if (p.n) {
		assert_true(strncmp(p.line[0], directory, strlen(directory)) == 0);
		snprintf(line, sizeof(line), "%s", p.line[0] + strlen(directory) + 1);
	}
	problems_clear(&p);
	conf_text_clear(&t);
	return line;
}

static const struct {
	const char *data, *line;
} bad[] = {
	{"a", "main:1: syntax error: expected '=' after a name, found the end of the file"},
	{"a 1;", "main:1: syntax error: expected '=' after a name, found 1"},
	{"a = ;", "main:1: syntax error: expected a value, found ;"},
	{"\n\na =\n", "main:4: syntax error: expected a value, found the end of the file"},
	{"a = yes;", "main:1: syntax error: expected a value (a word stands in double quotes), "
		     "found yes"},
	{"a = 1;;", "main:1: syntax error: expected the name of a setting, found ;"},
	{"a = 1 2;", "main:1: syntax error: expected the name of a setting, found 2"},
	{"true = 1;", "main:1: syntax error: expected the name of a setting, found true"},
	{"}", "main:1: syntax error: expected the name of a setting, found }"},
	{"a = { b = 1;\n", "main:2: syntax error: expected the name of a setting or '}', found "
			   "the end of the file"},
	{"a = ( 1, 2\n;", "main:2: syntax error: expected ',' or ')', found ;"},
	{"a = [ 1 2 ];", "main:1: syntax error: expected ',' or ']', found 2"},
	{"a = [ 1, ];", "main:1: syntax error: a comma before ']' (take it away: older libconfig "
			"refuses it)"},
	{"a = (\n1,\n);", "main:3: syntax error: a comma before ')' (take it away: older libconfig "
			  "refuses it)"},
	{"a = [ 1, \"x\" ];", "main:1: syntax error: the elements of an array [ ] must be of one "
			      "type (a list ( ) may mix them)"},
	{"a = [ (1) ];", "main:1: syntax error: expected a number, a \"string\", true or false, "
			 "found ("},
	{"a = 1;\na = 2;", "main:2: syntax error: a is set twice in one group (first in line 1)"},
	{"a = 010;", "main:1: syntax error: 010 has a leading zero, which may mean octal (write "
		     "10)"},
	{"a = -007;", "main:1: syntax error: -007 has a leading zero, which may mean octal (write "
		      "-7)"},
	{"a = 0b101;", "main:1: syntax error: 0b101: binary and octal numbers are not read alike "
		       "everywhere (write it decimal or 0x...)"},
	{"a = 0o17;", "main:1: syntax error: 0o17: binary and octal numbers are not read alike "
		      "everywhere (write it decimal or 0x...)"},
	{"a = 99999999999999999999;", "main:1: syntax error: 99999999999999999999 does not fit in "
				      "64 bits"},
	{"a = -99999999999999999999;", "main:1: syntax error: -99999999999999999999 does not fit "
				       "in 64 bits"},
	{"a = 99999999999999999999L;", "main:1: syntax error: 99999999999999999999L does not fit "
				       "in 64 bits"},
	{"a = 0xFFFFFFFFFFFFFFFF;", "main:1: syntax error: 0xFFFFFFFFFFFFFFFF does not fit in 64 "
				    "bits"},
	{"a = 0xFFFFFFFFFFFFFFFFFL;", "main:1: syntax error: 0xFFFFFFFFFFFFFFFFFL does not fit in "
				      "64 bits"},
	{"a = 12ab;", "main:1: syntax error: 12ab is not a number"},
	{"a = 0x;", "main:1: syntax error: 0x is not a number"},
	{"a = 0xfg;", "main:1: syntax error: 0xfg is not a number"},
	{"a = 1.2.3;", "main:1: syntax error: 1.2.3 is not a number"},
	{"a = 127.0.0.1:7;", "main:1: syntax error: 127.0.0.1 is not a number"},
	{"a = .;", "main:1: syntax error: . is not a number"},
	{"a = -;", "main:1: syntax error: - is not a number"},
	{"a = 1LLL;", "main:1: syntax error: 1LLL is not a number"},
	{"a = 64K;", "main:1: syntax error: 64K is not a number"},
	{"a = 00000000000000000000000000000000000000000000000000000000000000001;",
	 "main:1: syntax error: 0000000000000000000000000000000000000000 is not a number"},
	{"a = \"x;\nb = 1;", "main:1: syntax error: a string does not end on its line"},
	{"a = \"x", "main:1: syntax error: a string does not end on its line"},
	{"a = \"x\\", "main:1: syntax error: a backslash in a string begins one of \\\\ \\\" \\n "
		      "\\r \\t \\f \\xHH (not \\x00)"},
	{"a = \"\\q\";", "main:1: syntax error: a backslash in a string begins one of \\\\ \\\" "
			 "\\n \\r \\t \\f \\xHH (not \\x00)"},
	{"a = \"\\x00\";", "main:1: syntax error: a backslash in a string begins one of \\\\ \\\" "
			   "\\n \\r \\t \\f \\xHH (not \\x00)"},
	{"a = 'x';", "main:1: syntax error: strings stand in double quotes"},
	{"\n/* never\nended", "main:2: syntax error: the comment that begins here does not end"},
	{"\xef\xbb\xbf"
	 "a = 1;",
	 "main:1: syntax error: the file begins with a byte order mark"},
	{"a = 1; %", "main:1: syntax error: unexpected '%'"},
	{"a = \xc3\xa4;", "main:1: syntax error: unexpected byte 0xc3"},
	{"a = / 2;", "main:1: syntax error: unexpected '/'"},
	{"a = 1; @include \"x\"", "main:1: syntax error: '@' begins nothing but an @include on a "
				  "line of its own"},
	{"@nclude \"x\"", "main:1: syntax error: '@' begins nothing but an @include on a line of "
			  "its own"},
	{"@include x", "main:1: syntax error: an include is written @include \"FILE\""},
	{"@include\"x\"", "main:1: syntax error: an include is written @include \"FILE\""},
	{"@include \"\"", "main:1: syntax error: an include is written @include \"FILE\""},
	{"@include \"x", "main:1: syntax error: an include is written @include \"FILE\""},
	{"\n@include \"nosuch\"", "main:2: @include \"nosuch\": No such file or directory"},
	{"@include \"/dev/null\"", "main:1: @include \"/dev/null\": is not a regular file"},
	{"@include \"/tmp\"", "main:1: @include \"/tmp\": is a directory"},
	{"@include \"main\"", "main:1: @include \"main\": includes itself"},
	{"\n  @include \"sub_bad\"", "sub_bad:2: syntax error: expected a value, found }"},
};

static void test_bad(void **state)
{
	(void)state;
	write_file("sub_bad", "x = 1;\ny = }", 12);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_string_equal(complaint_about(bad[i].data, strlen(bad[i].data)), bad[i].line);
}

static void test_nul(void **state)
{
	(void)state;
	assert_string_equal(complaint_about("a = 1;\n\0b = 2;\n", 15),
			    "main:2: syntax error: unexpected byte 0x00");
	assert_string_equal(complaint_about("a = \"x\0y\";\n", 11),
			    "main:1: syntax error: a string does not end on its line");
	assert_string_equal(complaint_about("# c\0\n", 5),
			    "main:1: syntax error: unexpected byte 0x00");
}

/* What PATTERN repeated gives. */
static const char *repeated(const char *before, const char *pattern, size_t times,
			    const char *after)
{
	static char text[2 << 20];
	size_t len = strlen(pattern), at = strlen(before);

	strcpy(text, before);
	for (size_t i = 0; i < times; i++, at += len)
		memcpy(text + at, pattern, len + 1);
	strcpy(text + at, after);
	return complaint_about(text, strlen(text));
}

static void test_limits(void **state)
{
	(void)state;
	assert_string_equal(repeated("a = ", "(", 16, ""),
			    "main:1: syntax error: expected a value, "
			    "found the end of the file");
	assert_string_equal(repeated("a = ", "(", 100000, ""),
			    "main:1: syntax error: nested more than 16 deep");
	assert_string_equal(repeated("a = ", "{ a = ", 17, ""),
			    "main:1: syntax error: nested more than 16 deep");
	assert_string_equal(repeated("a = \"", "x", 4094, "\";"), "");
	assert_string_equal(repeated("a = \"", "x", 4095, "\";"),
			    "main:1: syntax error: a string is longer than 4096 bytes");
	assert_string_equal(repeated("a = ", "\"xxxxxxxx\"\n", 1000, ";"),
			    "main:1: syntax error: a string is longer than 4096 bytes");
	assert_string_equal(repeated("a = [ 1", ", 1", 65535, " ];"), "");
	assert_string_equal(repeated("a = [ 1", ", 1", 65536, " ];"),
			    "main:1: syntax error: more than 65536 elements");
	assert_string_equal(repeated("", " ", 1 << 20, ""), "");
	assert_string_equal(repeated("", " ", (1 << 20) + 1, ""),
			    "main: makes the configuration larger than 1 MiB");
}

static void test_many_settings(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	(void)state;
	for (int i = 0; i < 257; i++)
		fprintf(f, "a%d = 1;\n", i);
	fclose(f);
	assert_string_equal(complaint_about(text, size),
			    "main:257: syntax error: more than 256 settings in one group");
	free(text);
}

static void test_include_limits(void **state)
{
	char name[16], data[64];

	(void)state;
	for (int i = 0; i < 12; i++) {
		snprintf(name, sizeof(name), "deep%d", i);
		snprintf(data, sizeof(data), "\n@include \"deep%d\"\n", i + 1);
		write_file(name, data, strlen(data));
	}
	assert_string_equal(complaint_about("@include \"deep0\"", 16),
			    "deep9:2: @include \"deep10\": is nested more than 10 deep");
	write_file("loop1", "@include \"loop2\"", 16);
	write_file("loop2", "\n@include \"loop1\"", 17);
	assert_string_equal(complaint_about("@include \"loop1\"", 16),
			    "loop2:2: @include \"loop1\": includes itself");
	write_file("empty", "", 0);
	assert_string_equal(repeated("", "@include \"empty\"\n", 100, ""), "");
	assert_string_equal(repeated("", "@include \"empty\"\n", 101, ""),
			    "main:101: @include \"empty\": is one include too many (100)");
	snprintf(data, sizeof(data), "%s/empty", directory);
	chmod(data, 0622);
	assert_string_equal(complaint_about("@include \"empty\"", 16),
			    "main:1: @include \"empty\": may be written by group or others (chmod "
			    "go-w)");
}

/* The tree has every value of the text, and the line of every setting. */
static void test_tree(void **state)
{
	static const char text[] = "a = 1; b : -0x, c";
	static const char good[] =
		"# comment\n"
		"int = 4294967303; hex = 0xFF; neg = -5L, big = 0x7fffffffffffffff\n"
		"// another\n"
		"float = 1e3; half = .5; /* and\n a third */ yes = TRUE;\n"
		"s = \"a\\\"b\\\\c\\x41\" /* joined */\n \"d\";\n"
		"list = ( 1, \"x\", ( ), { e = [ ]; } );\r\n"
		"@include \"inc\"\n"
		"last = [ 1, -2 ];";
	struct conf_text t;
	struct complaints c = {0};
	struct problems p;
	struct conf_node *root, *n;
	char path[256];

	(void)state;
	write_file("inc", "\nfrom = \"there\";", 16);
	write_file("main", good, sizeof(good) - 1);
	snprintf(path, sizeof(path), "%s/main", directory);
	assert_int_equal(conf_text_file(&t, path, &c), 0);
	root = conf_file_tree(&t, &c);
	assert_non_null(root);
	assert_int_equal(root->n, 11);
	assert_int_equal(node_child(root, "int")->number, 4294967303);
	assert_int_equal(node_child(root, "hex")->number, 255);
	assert_int_equal(node_child(root, "neg")->number, -5);
	assert_int_equal(node_child(root, "big")->number, INT64_MAX);
	assert_true(node_child(root, "float")->real == 1000);
	assert_true(node_child(root, "half")->real == 0.5);
	assert_int_equal(node_child(root, "yes")->number, 1);
	assert_int_equal(node_child(root, "yes")->line, 5);
	assert_string_equal(node_child(root, "s")->text, "a\"b\\cAd");
	n = node_child(root, "list");
	assert_int_equal(n->n, 4);
	assert_int_equal(n->child[3]->child[0]->kind, NODE_ARRAY);
	assert_int_equal(n->child[3]->line, 8);
	n = node_child(root, "from");
	assert_int_equal(n->line, 2);
	assert_string_equal(n->file + strlen(directory), "/inc");
	n = node_child(root, "last");
	assert_int_equal(n->line, 10);
	assert_int_equal(n->child[1]->number, -2);
	assert_null(node_child(root, "none"));
	node_free(root);
	conf_text_clear(&t);

	assert_true(conf_text_string(&t, "-o", text, NULL) < 0); /* nobody is told */
	conf_text_clear(&t);
	assert_false(complaints_report(&c, &p));
}

static int set_up(void **state)
{
	(void)state;
	return mkdtemp(directory) ? 0 : -1;
}

static int tear_down(void **state)
{
	char command[300];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", directory);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bad),    cmocka_unit_test(test_nul),
		cmocka_unit_test(test_limits), cmocka_unit_test(test_many_settings),
		cmocka_unit_test(test_tree),   cmocka_unit_test(test_include_limits),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
