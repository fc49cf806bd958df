/* SPDX-License-Identifier: ISC */
/* peer_thread.c - the textbook's thread per client, bare: what the bench compares
 * echod's `thread` model with.  No limits, timeouts, counters or logs. */
#include "peer.h"

#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

enum { READ_SIZE = 64 * 1024, STACK_SIZE = 128 * 1024 };

/* Out of descriptors, memory or threads: let some clients go first. */
static void pause_accepting(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 50 * 1000 * 1000}, NULL);
}

static int send_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);

		if (sent < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		data += sent;
		len -= (size_t)sent;
	}
	return 0;
}

static void *serve(void *arg)
{
	char buffer[READ_SIZE];
	int fd = (int)(intptr_t)arg;

	for (;;) {
		ssize_t got = recv(fd, buffer, sizeof(buffer), 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0 || send_all(fd, buffer, (size_t)got) < 0)
			break;
	}
	close(fd);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_attr_t attr;
	int listener;

	if (argc != 2) {
		fprintf(stderr, "usage: peer_thread PORT\n");
		return 64;
	}
	peer_init();
	listener = peer_listen(argv[1], 0);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK_SIZE);
	for (;;) {
		pthread_t thread;
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

		if (fd < 0) {
			if (errno != EINTR && errno != ECONNABORTED)
				pause_accepting();
			continue;
		}
		while (pthread_create(&thread, &attr, serve, (void *)(intptr_t)fd))
			pause_accepting();
	}
}
