/* SPDX-License-Identifier: ISC */
/* Configurations from a file of the test's own. */
#include "loaded.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

char path[] = "/tmp/echod-conf-XXXXXX";

struct conf *load(const struct conf_source *source)
{
	struct problems p;
	struct conf *c = conf_load(source, &p);

	for (size_t i = 0; i < p.n; i++)
		print_error("%s\n", p.line[i]);
	assert_non_null(c);
	assert_int_equal(p.n, 0);
	return c;
}

void write_file(const char *text)
{
	int fd = open(path, O_WRONLY | O_TRUNC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

struct conf *load_text(const char *text)
{
	write_file(text);
	return load(&(struct conf_source){.file = path});
}

char *dump(const struct conf *c)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	conf_dump(c, f);
	fclose(f);
	return text;
}

const struct sockopt_value *option(const struct service_conf *s, const char *name)
{
	return &s->sockopts.value[sockopt_find(name)];
}

int set_up(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	return fd < 0 ? -1 : close(fd);
}

int tear_down(void **state)
{
	(void)state;
	return unlink(path);
}
