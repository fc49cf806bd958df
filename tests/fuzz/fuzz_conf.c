/* SPDX-License-Identifier: ISC */
/* A configuration file and what it includes: the parts of the input between NULs are files, the
 * first is read, the others may be included as "900", "901" and "902".  Either it is refused with
 * a line that says why, or what it means can be written down, and means the same when it is read
 * again.
 *
 * The files are in memory, and stay for the next input. */
#include "fuzz.h"

#include "conf.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILES = 4, FIRST = 899 /* the descriptor of the first */ };

static const char first_path[] = "/proc/self/fd/899";

/* The files as they are read: what they are called is their descriptor. */
static void make_files(void)
{
	if (fcntl(FIRST, F_GETFD) >= 0)
		return;
	for (int i = 0; i < FILES; i++) {
		int fd = memfd_create("conf", MFD_CLOEXEC);

		PROMISE(fd >= 0 && fchmod(fd, 0600) == 0 && dup2(fd, FIRST + i) == FIRST + i);
		close(fd);
	}
}

static void fill(int i, const void *text, size_t size)
{
	PROMISE(ftruncate(FIRST + i, 0) == 0);
	PROMISE(pwrite(FIRST + i, text, size, 0) == (ssize_t)size);
}

static struct conf *load(void)
{
	struct problems problems = {0}, notes = {0};
	struct conf *c = conf_load_noting(&(struct conf_source){.file = first_path}, &problems,
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

	make_files();
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
