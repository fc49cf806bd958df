/* SPDX-License-Identifier: ISC */
/* The file of a UNIX socket, in a directory that another may write. */
#include "making.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[] = "/tmp/test_making.XXXXXX";
static char path[64], precious[64];

static int make_directory(void **state)
{
	(void)state;
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/socket", directory);
	snprintf(precious, sizeof(precious), "%s/precious", directory);
	return 0;
}

static int remove_directory(void **state)
{
	(void)state;
	unlink(path);
	unlink(precious);
	return rmdir(directory);
}

/* making_file() of a socket at PATH with the mode 0666. */
static int file(struct listener *l)
{
	struct service_conf service = {.protocol = PROTO_UNIX, .mode = 0666};
	struct making m = {.service = &service, .l = l, .fd = -1, .family = AF_UNIX};
	const char *why;

	*l = (struct listener){.protocol = PROTO_UNIX};
	assert_int_equal(address_parse_unix(path, &l->asked, &why), 1);
	return making_file(&m);
}

static void gives_the_mode(void **state)
{
	struct listener l;
	struct stat st;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un at = {.sun_family = AF_UNIX};

	(void)state;
	strcpy(at.sun_path, path);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(file(&l), 0);
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_mode, S_IFSOCK | 0666);
	assert_true(l.made_file && l.dev == st.st_dev && l.ino == st.st_ino);
	close(fd);
	unlink(path);
}

/* Somebody has put a link in the place of the file that bind(2) has just made. */
static void follows_no_link(void **state)
{
	struct listener l;
	struct stat st;
	FILE *f = fopen(precious, "w");

	(void)state;
	assert_non_null(f);
	fclose(f);
	assert_int_equal(chmod(precious, 0600), 0);
	assert_int_equal(symlink(precious, path), 0);
	assert_true(file(&l) < 0);
	assert_false(l.made_file);
	assert_int_equal(stat(precious, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gives_the_mode),
		cmocka_unit_test(follows_no_link),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
