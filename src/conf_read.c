/* SPDX-License-Identifier: ISC */
/* Reading a file that may be anything: a FIFO that nobody writes, a terminal, a directory,
 * a file without end, one that others may write.  libconfig would read them all (and of a
 * directory it makes an exit()), so it never opens a file here. */
#include "conf_text.h"

#include "read_all.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *refuse(const struct stat *st)
{
	if (S_ISDIR(st->st_mode))
		return "is a directory";
	if (!S_ISREG(st->st_mode))
		return "is not a regular file";
	/* Who can write the file decides what a privileged daemon does. */
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return "belongs neither to root nor to the user who runs echod";
	if (st->st_mode & (S_IWGRP | S_IWOTH))
		return "may be written by group or others (chmod go-w)";
	return NULL;
}

/* What to return for ERROR of the system: is it the file, or does the system lack something that
 * it may have the next time? */
static int failed(int error, const char **why)
{
	*why = strerrordesc_np(error);
	return error == EMFILE || error == ENFILE || error == ENOMEM || error == EIO ? -EAGAIN
										     : -EINVAL;
}

static int read_fd(int fd, size_t limit, struct conf_source_text *out, const char **why)
{
	struct stat st;
	ssize_t len;

	if (fstat(fd, &st) < 0)
		return failed(errno, why);
	*why = refuse(&st);
	if (*why)
		return -EINVAL;
	/* A file of /proc says that it has no bytes, so the size is not asked. */
	out->data = malloc(limit + 1);
	len = out->data ? read_all(fd, out->data, limit + 1) : -ENOMEM;
	if (len < 0 || (size_t)len > limit) {
		free(out->data);
		out->data = NULL;
		*why = "makes the configuration larger than 1 MiB";
		return len < 0 ? failed((int)-len, why) : -EINVAL;
	}
	out->data[len] = '\0';
	out->len = (size_t)len;
	out->device = st.st_dev;
	out->inode = st.st_ino;
	return 0;
}

int conf_read(const char *path, size_t limit, struct conf_source_text *out, const char **why)
{
	/* O_NONBLOCK: opening a FIFO must not wait for a writer. */
	int fd, r;

	do
		fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	while (fd < 0 && errno == EINTR);
	if (fd < 0)
		return failed(errno, why);
	r = read_fd(fd, limit, out, why);
	close(fd);
	return r;
}
