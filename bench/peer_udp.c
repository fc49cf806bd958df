/* SPDX-License-Identifier: ISC */
/* peer_udp.c - the three ways to echo datagrams in a loop, bare, one mode each:
 *
 *   plain   recvfrom, sendto
 *   mmsg    recvmmsg, sendmmsg: up to BATCH datagrams a call
 *   gro     the same, and what the kernel joined of one flow (UDP_GRO) is given back as
 *           joined as it came (UDP_SEGMENT)
 *
 * No rules: not whom to answer, not how often.  A datagram that cannot be sent is dropped. */
#include "peer.h"

#include <netinet/udp.h>
#include <stdbool.h>
#include <string.h>
#include <sys/uio.h>

enum { BATCH = 64, DATAGRAM_MAX = 65536, RECEIVE_BUFFER = 4 << 20 };

#ifndef UDP_SEGMENT
# define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
# define UDP_GRO 104
#endif

union control {
	char bytes[CMSG_SPACE(sizeof(int))];
	struct cmsghdr aligned;
};

static struct batch {
	char data[BATCH][DATAGRAM_MAX];
	struct sockaddr_in from[BATCH];
	struct iovec iov[BATCH];
	union control control[BATCH];
	struct mmsghdr msg[BATCH];
} batch;

static void echo_plain(int fd)
{
	for (;;) {
		struct sockaddr_in from;
		socklen_t len = sizeof(from);
		ssize_t n = recvfrom(fd, batch.data[0], DATAGRAM_MAX, 0, (struct sockaddr *)&from,
				     &len);

		if (n >= 0)
			sendto(fd, batch.data[0], (size_t)n, 0, (struct sockaddr *)&from, len);
	}
}

/* The size of the datagrams that message H was joined of; 0: it is one. */
static uint16_t segment_size(struct msghdr *h)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(h);
	int size = 0;

	if (c && c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO)
		memcpy(&size, CMSG_DATA(c), sizeof(size));
	return (uint16_t)size;
}

static void prepare_receive(int i, bool gro)
{
	struct msghdr *h = &batch.msg[i].msg_hdr;

	batch.iov[i] = (struct iovec){.iov_base = batch.data[i], .iov_len = DATAGRAM_MAX};
	*h = (struct msghdr){.msg_name = &batch.from[i],
			     .msg_namelen = sizeof(batch.from[i]),
			     .msg_iov = &batch.iov[i],
			     .msg_iovlen = 1};
	if (gro) {
		h->msg_control = &batch.control[i];
		h->msg_controllen = sizeof(batch.control[i]);
	}
}

static void prepare_send(int i)
{
	struct msghdr *h = &batch.msg[i].msg_hdr;
	uint16_t size = segment_size(h);
	struct cmsghdr *c;

	batch.iov[i].iov_len = batch.msg[i].msg_len;
	h->msg_flags = 0;
	if (size == 0 || size >= batch.msg[i].msg_len) {
		h->msg_control = NULL;
		h->msg_controllen = 0;
		return;
	}
	h->msg_controllen = CMSG_SPACE(sizeof(size));
	c = CMSG_FIRSTHDR(h);
	c->cmsg_level = SOL_UDP;
	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = CMSG_LEN(sizeof(size));
	memcpy(CMSG_DATA(c), &size, sizeof(size));
}

static void echo_batches(int fd, bool gro)
{
	for (int i = 0; i < BATCH; i++)
		prepare_receive(i, gro);
	for (;;) {
		int n = recvmmsg(fd, batch.msg, BATCH, MSG_WAITFORONE, NULL);

		for (int i = 0; i < n; i++)
			prepare_send(i);
		for (int done = 0; done < n;) {
			int sent = sendmmsg(fd, batch.msg + done, (unsigned)(n - done), 0);

			done += sent > 0 ? sent : 1;
		}
		for (int i = 0; i < n; i++)
			prepare_receive(i, gro);
	}
}

int main(int argc, char **argv)
{
	const char *mode = argc == 3 ? argv[2] : "";
	int fd, one = 1, size = RECEIVE_BUFFER;
	bool gro = !strcmp(mode, "gro");

	if (!gro && strcmp(mode, "plain") != 0 && strcmp(mode, "mmsg") != 0) {
		fprintf(stderr, "usage: peer_udp PORT plain|mmsg|gro\n");
		return 64;
	}
	peer_init();
	fd = peer_bind(SOCK_DGRAM, argv[1]);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (gro && setsockopt(fd, SOL_UDP, UDP_GRO, &one, sizeof(one)) < 0)
		peer_die("UDP_GRO");
	if (!strcmp(mode, "plain"))
		echo_plain(fd);
	else
		echo_batches(fd, gro);
}
