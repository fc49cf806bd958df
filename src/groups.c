/* SPDX-License-Identifier: ISC */
/* Memberships.  A socket does not tell its own; the kernel lists those of all sockets in
 * /proc/net/igmp and igmp6, and to leave a group that a socket is not in does no harm. */
#include "groups.h"

#include "conf.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* The options of setsockopt(2) for IPv4 and for IPv6. */
static const int joining[2] = {IP_ADD_MEMBERSHIP, IPV6_ADD_MEMBERSHIP};
static const int leaving[2] = {IP_DROP_MEMBERSHIP, IPV6_DROP_MEMBERSHIP};

/* One group, given as text, on the interface INDEX, if it is of the socket's family. */
static int change(int fd, int family, const char *text, int index, const int option[2])
{
	struct ip_mreqn four = {.imr_ifindex = index};
	struct ipv6_mreq six = {.ipv6mr_interface = (unsigned)index};
	int r = 0;

	if (inet_pton(AF_INET, text, &four.imr_multiaddr) == 1 && family == AF_INET)
		r = setsockopt(fd, IPPROTO_IP, option[0], &four, sizeof(four));
	else if (inet_pton(AF_INET6, text, &six.ipv6mr_multiaddr) == 1 && family == AF_INET6)
		r = setsockopt(fd, IPPROTO_IPV6, option[1], &six, sizeof(six));
	return r < 0 ? -errno : 0;
}

int groups_join(int fd, int family, const struct udp_conf *udp, const char **what)
{
	int index = udp->interface[0] ? (int)if_nametoindex(udp->interface) : 0;
	int r = 0;

	*what = "udp.interface";
	if (udp->interface[0] && index == 0)
		return -ENODEV;
	*what = "udp.groups";
	for (size_t i = 0; i < udp->n_groups && r == 0; i++)
		r = change(fd, family, udp->groups[i], index, joining);
	return r;
}

void groups_leave(int fd, int family, const struct udp_conf *udp)
{
	int index = udp->interface[0] ? (int)if_nametoindex(udp->interface) : 0;

	for (size_t i = 0; i < udp->n_groups; i++)
		change(fd, family, udp->groups[i], index, leaving);
}

/* "INDEX INTERFACE :" and then lines of one group each, its address as the number that it is
 * in memory. */
static void leave_four(int fd, FILE *list)
{
	struct ip_mreqn m = {.imr_ifindex = 0};
	char line[128];
	unsigned group;
	int index;

	while (fgets(line, sizeof(line), list)) {
		if (line[0] != '\t' && sscanf(line, "%d", &index) == 1)
			m.imr_ifindex = index;
		if (line[0] != '\t' || sscanf(line, "%x", &group) != 1)
			continue;
		m.imr_multiaddr.s_addr = group;
		setsockopt(fd, IPPROTO_IP, IP_DROP_MEMBERSHIP, &m, sizeof(m));
	}
}

/* A group on each line: "INDEX INTERFACE ADDRESS ...", the address in 32 digits. */
static void leave_six(int fd, FILE *list)
{
	struct ipv6_mreq m = {.ipv6mr_interface = 0};
	char line[128], text[33];

	while (fgets(line, sizeof(line), list)) {
		if (sscanf(line, "%u %*s %32[0-9a-f]", &m.ipv6mr_interface, text) != 2)
			continue;
		for (int i = 0; i < 16; i++)
			sscanf(&text[2 * i], "%2hhx", &m.ipv6mr_multiaddr.s6_addr[i]);
		setsockopt(fd, IPPROTO_IPV6, IPV6_DROP_MEMBERSHIP, &m, sizeof(m));
	}
}

void groups_leave_all(int fd, int family)
{
	FILE *list = fopen(family == AF_INET ? "/proc/self/net/igmp" : "/proc/self/net/igmp6",
			   "re");

	if (!list)
		return;
	if (family == AF_INET)
		leave_four(fd, list);
	else
		leave_six(fd, list);
	fclose(list);
}
