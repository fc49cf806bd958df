/* SPDX-License-Identifier: ISC */
#include "read_all.h"

#include <errno.h>
#include <unistd.h>

ssize_t read_all(int fd, void *data, size_t room)
{
	size_t len = 0;

	while (len < room) {
		ssize_t r = read(fd, (char *)data + len, room - len);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			break;
		len += (size_t)r;
	}
	return (ssize_t)len;
}
