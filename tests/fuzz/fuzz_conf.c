/* SPDX-License-Identifier: ISC */
/* A configuration file and what it includes: the parts of the input between NULs are files, the
 * first is read, the others may be included as "900" to "911".  Either it is refused with
 * a line that says why, or what it means can be written down, and means the same when it is read
 * again.
 *
 * These files are in memory: what conf_read.c would answer is answered here.  Of any other that is
 * included it is asked. */
#include "fuzz.h"

#include "conf.h"
#include "conf_text.h"
#include "world.h"

#include <stdio.h>

enum { FILES = 13 /* so that they can be nested deeper than is allowed */ };

static const char *const names[FILES] = {
	"/proc/self/fd/899", "/proc/self/fd/900", "/proc/self/fd/901", "/proc/self/fd/902",
	"/proc/self/fd/903", "/proc/self/fd/904", "/proc/self/fd/905", "/proc/self/fd/906",
	"/proc/self/fd/907", "/proc/self/fd/908", "/proc/self/fd/909", "/proc/self/fd/910",
	"/proc/self/fd/911",
};
static struct {
	const void *data;
	size_t len;
} files[FILES];

int __real_conf_read(const char *path, size_t limit, struct conf_source_text *out,
		     const char **why);
int __wrap_conf_read(const char *path, size_t limit, struct conf_source_text *out,
		     const char **why);

int __wrap_conf_read(const char *path, size_t limit, struct conf_source_text *out, const char **why)
{
	for (unsigned i = 0; i < FILES; i++) {
		if (strcmp(path, names[i]) != 0)
			continue;
		PROMISE(files[i].len <= limit);
		out->data = fuzz_text(files[i].data, files[i].len);
		out->len = files[i].len;
		out->device = 0;
		out->inode = i + 1;
		return 0;
	}
	return __real_conf_read(path, limit, out, why);
}

static void fill(int i, const void *text, size_t size)
{
	files[i].data = text;
	files[i].len = size;
}

static struct conf *load(void)
{
	struct problems problems = {0}, notes = {0};
	struct conf *c = conf_load_noting(&(struct conf_source){.file = names[0]}, &problems,
					  &notes);

	PROMISE(!c == (problems.n > 0));
	for (size_t i = 0; i < problems.n; i++)
		PROMISE(problems.line[i][0] != '\0');
	problems_clear(&problems);
	problems_clear(&notes);
	return c;
}

static char *dump(const struct conf *c, size_t *size)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, size);

	PROMISE(f);
	conf_dump(c, f);
	PROMISE(fclose(f) == 0);
	return text;
}

static void fill_all(const uint8_t *data, size_t size)
{
	const uint8_t *end = data + size;

	for (int i = 0; i < FILES; i++) {
		const uint8_t *nul = i < FILES - 1 ? memchr(data, '\0', (size_t)(end - data))
						   : NULL;
		const uint8_t *stop = nul ? nul : end;

		fill(i, data, (size_t)(stop - data));
		data = nul ? nul + 1 : end;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf *first, *second;
	size_t first_size, second_size;
	char *once, *twice;

	fill_all(data, size);
	world_has_rings(size % 2);
	first = load();
	if (!first)
		return 0;
	once = dump(first, &first_size);
	fill(0, once, first_size);
	second = load();
	PROMISE(second);
	twice = dump(second, &second_size);
	PROMISE(first_size == second_size && memcmp(once, twice, first_size) == 0);
	free(once);
	free(twice);
	conf_free(first);
	conf_free(second);
	return 0;
}
