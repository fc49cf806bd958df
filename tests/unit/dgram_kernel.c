/* SPDX-License-Identifier: ISC */
/* The scripted kernel of datagrams. */
#include "dgram_kernel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include <cmocka.h>

struct dgram_kernel k;

int __wrap_recvmmsg(int fd, struct mmsghdr *v, unsigned n, int flags, struct timespec *timeout);
int __wrap_sendmmsg(int fd, struct mmsghdr *v, unsigned n, int flags);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags);

static void put(struct msghdr *m, int level, int type, const void *data, size_t size)
{
	struct cmsghdr *c = (struct cmsghdr *)((char *)m->msg_control + m->msg_controllen);

	*c = (struct cmsghdr){.cmsg_level = level, .cmsg_type = type, .cmsg_len = CMSG_LEN(size)};
	memcpy(CMSG_DATA(c), data, size);
	m->msg_controllen += CMSG_SPACE(size);
}

static void arrive(const struct arrival *a, struct mmsghdr *h)
{
	struct sockaddr_in *name = h->msg_hdr.msg_name;
	struct in_pktinfo info = {.ipi_ifindex = 1};

	assert_true(h->msg_hdr.msg_namelen >= sizeof(*name));
	assert_true(h->msg_hdr.msg_controllen >= CMSG_SPACE(sizeof(info)) + CMSG_SPACE(4));
	assert_true(h->msg_hdr.msg_iov->iov_len >= a->size);
	*name = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(a->port)};
	name->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	h->msg_hdr.msg_namelen = sizeof(*name);
	info.ipi_addr.s_addr = info.ipi_spec_dst.s_addr = htonl(INADDR_LOOPBACK);
	if (a->to_all)
		info.ipi_addr.s_addr = htonl(INADDR_BROADCAST);
	h->msg_hdr.msg_controllen = 0;
	put(&h->msg_hdr, IPPROTO_IP, IP_PKTINFO, &info, sizeof(info));
	if (a->segment)
		put(&h->msg_hdr, SOL_UDP, UDP_GRO, &a->segment, sizeof(a->segment));
	memset(h->msg_hdr.msg_iov->iov_base, a->text, a->size);
	h->msg_hdr.msg_flags = a->truncated ? MSG_TRUNC : 0;
	h->msg_len = (unsigned)a->size;
}

int __wrap_recvmmsg(int fd, struct mmsghdr *v, unsigned n, int flags, struct timespec *timeout)
{
	unsigned i = 0;

	assert_int_equal(fd, FD);
	assert_true(flags & MSG_DONTWAIT);
	assert_null(timeout);
	k.asked = n > k.asked ? n : k.asked;
	if (k.receive_errors > 0) {
		errno = k.receive_errors-- % 2 ? EINTR : ECONNREFUSED;
		return -1;
	}
	for (; i < n && k.at < k.n_in; i++)
		arrive(&k.in[k.at++], &v[i]);
	errno = EAGAIN;
	return i > 0 ? (int)i : -1;
}

/* The bytes of M, checked to be of one text, and what they are cut into. */
static void depart(const struct msghdr *m, size_t segment)
{
	const struct sockaddr_in *name = m->msg_name;
	size_t size = 0;
	char text = 0;

	for (size_t i = 0; i < m->msg_iovlen; i++) {
		const char *at = m->msg_iov[i].iov_base;

		text = m->msg_iov[i].iov_len ? at[0] : 0;
		for (size_t b = 0; b < m->msg_iov[i].iov_len; b++)
			assert_int_equal(at[b], text);
		size += m->msg_iov[i].iov_len;
	}
	do {
		size_t part = segment && segment < size ? segment : size;

		k.out[k.n_out++] = (struct departure){ntohs(name->sin_port), part, text};
		size -= part;
	} while (size > 0);
}

/* Send M: 0 or an errno. */
static int take(const struct msghdr *m)
{
	const char *first = m->msg_iov[0].iov_base;
	uint16_t segment = 0;
	bool has_source = false;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR((struct msghdr *)m, c)) {
		has_source |= c->cmsg_type == IP_PKTINFO && c->cmsg_level == IPPROTO_IP;
		if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_SEGMENT)
			memcpy(&segment, CMSG_DATA(c), sizeof(segment));
	}
	assert_true(has_source);
	k.bursts += segment > 0;
	if (segment && k.burst_error)
		return k.burst_error;
	if (k.bad && m->msg_iov[0].iov_len && first[0] == k.bad)
		return k.error;
	depart(m, segment);
	return 0;
}

int __wrap_sendmmsg(int fd, struct mmsghdr *v, unsigned n, int flags)
{
	unsigned i = 0;
	int error = 0;

	assert_int_equal(fd, FD);
	assert_int_equal(flags, MSG_DONTWAIT | MSG_NOSIGNAL);
	assert_true(n > 0);
	k.calls++;
	if (k.send_interrupts > 0) {
		k.send_interrupts--;
		errno = EINTR;
		return -1;
	}
	while (i < n && (error = take(&v[i].msg_hdr)) == 0)
		i++;
	errno = error;
	return i > 0 ? (int)i : -1;
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *m, int flags)
{
	assert_int_equal(fd, FD);
	assert_int_equal(flags, MSG_DONTWAIT | MSG_NOSIGNAL);
	errno = take(m);
	return errno ? -1 : (ssize_t)m->msg_iov[0].iov_len;
}
