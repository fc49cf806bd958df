/* SPDX-License-Identifier: ISC */
/* send.h - the two ways of `echoc send`: a stream, or datagrams one by one. */
#ifndef ECHOC_SEND_H
#define ECHOC_SEND_H

#include "sock.h"

/* What the command line said. */
struct send_conf {
	struct sock_conf sock;
	struct target target;
	bool verify;
	bool keep_open;  /* streams: do not shut down, end when all came back */
	int64_t timeout; /* ns without progress; of datagrams, ns for each answer */
	int64_t size;    /* datagrams: bytes of standard input in each */
	char **texts;    /* NULL: standard input */
	int n_texts;
};

/* Each returns the exit code, after telling the user. */
int send_stream(const struct send_conf *conf);
int send_datagrams(const struct send_conf *conf);

/* Write to standard output, now.  Returns 0 or -errno. */
int send_print(const void *data, size_t size);

#endif
