/* SPDX-License-Identifier: ISC */
/* A configuration file.  Either it is refused with a line that says why, or what it means can
 * be written down, and means the same when it is read again. */
#include "fuzz.h"

#include "conf.h"

#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* TEXT as a file that may be read: "/proc/self/fd/N". */
static int file_of(const void *text, size_t size, char path[32])
{
	int fd = memfd_create("conf", MFD_CLOEXEC);

	PROMISE(fd >= 0 && fchmod(fd, 0600) == 0);
	PROMISE(write(fd, text, size) == (ssize_t)size);
	snprintf(path, 32, "/proc/self/fd/%d", fd);
	return fd;
}

static struct conf *load(const void *text, size_t size)
{
	struct problems problems = {0}, notes = {0};
	char path[32];
	int fd = file_of(text, size, path);
	struct conf *c = conf_load_noting(&(struct conf_source){.file = path}, &problems, &notes);

	PROMISE(!c == (problems.n > 0));
	for (size_t i = 0; i < problems.n; i++)
		PROMISE(problems.line[i][0] != '\0');
	problems_clear(&problems);
	problems_clear(&notes);
	close(fd);
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct conf *first = load(data, size), *second;
	size_t first_size, second_size;
	char *once, *twice;

	if (!first)
		return 0;
	once = dump(first, &first_size);
	second = load(once, first_size);
	PROMISE(second);
	twice = dump(second, &second_size);
	PROMISE(first_size == second_size && memcmp(once, twice, first_size) == 0);
	free(once);
	free(twice);
	conf_free(first);
	conf_free(second);
	return 0;
}
