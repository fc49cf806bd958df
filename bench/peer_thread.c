/* SPDX-License-Identifier: ISC */
/* peer_thread.c - the textbook's thread per client, bare: what the bench compares
 * echod's `thread` model with.  No limits, timeouts, counters or logs. */
#define _GNU_SOURCE 1
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { READ_SIZE = 64 * 1024, STACK_SIZE = 128 * 1024, BACKLOG = 511 };

static void die(const char *what)
{
	perror(what);
	exit(71);
}

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

static int listen_on(const char *port)
{
	struct sockaddr_in sin = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)strtoul(port, NULL, 10)),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* Accepted sockets inherit TCP_NODELAY from the listener. */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&sin, sizeof(sin)) < 0 || listen(fd, BACKLOG) < 0)
		die("listen");
	return fd;
}

int main(int argc, char **argv)
{
	pthread_attr_t attr;
	int listener;

	if (argc != 2) {
		fprintf(stderr, "usage: peer_thread PORT\n");
		return 64;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	listener = listen_on(argv[1]);
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
