/* SPDX-License-Identifier: ISC */
/* A client that sends and shuts down at once, and reads to the end; again and again, on threads.
 * usage: at_once PATH SECONDS.  Says how many connections there were; status 1 if one had no end
 * within 5 seconds. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { THREADS = 4, PATIENCE = 5 /* s */ };

static struct sockaddr_un address = {.sun_family = AF_UNIX};
static atomic_bool over, endless;
static atomic_ulong connections;

static bool one(void)
{
	struct timeval patience = {.tv_sec = PATIENCE};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char echo[8];
	ssize_t n = -1;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
	    send(fd, "x", 1, 0) == 1 && shutdown(fd, SHUT_WR) == 0)
		while ((n = recv(fd, echo, sizeof(echo), 0)) > 0)
			;
	close(fd);
	return n == 0;
}

static void *run(void *arg)
{
	while (!over && !endless)
		if (one())
			connections++;
		else
			endless = true;
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t threads[THREADS];

	if (argc != 3)
		return 2;
	strncpy(address.sun_path, argv[1], sizeof(address.sun_path) - 1);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, run, NULL);
	sleep((unsigned)atoi(argv[2]));
	over = true;
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	printf("%lu\n", connections);
	return endless;
}
