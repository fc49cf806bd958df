/* SPDX-License-Identifier: ISC */
/* The socket options, a row each.  The stages and protocols are what Linux was seen to do
 * (tests/unit/test_sockopt.c asks the kernel again): nearly every option of a listener is
 * copied to the sockets that accept(2) makes, so that a connection costs no further
 * system call; AT_CONNECTION is for the few that are not. */
#include "sockopt.h"

#include <linux/net_tstamp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#ifndef SO_BUSY_POLL
# define SO_BUSY_POLL 46
#endif

#define TCP        (1u << PROTO_TCP)
#define UDP        (1u << PROTO_UDP)
#define UNIX       (1u << PROTO_UNIX)
#define UNIX_DGRAM (1u << PROTO_UNIX_DGRAM)
#define MPTCP      (1u << PROTO_MPTCP)
#define STREAMS    (TCP | MPTCP)
#define INTERNET   (TCP | UDP | MPTCP)
#define ALL        (INTERNET | UNIX | UNIX_DGRAM)

#define MILLION    1000000ll
#define BUFFER_MAX (1ll << 30) /* the kernel doubles it in an int */

static const struct sockopt_word mtu_discover[] = {
	{"dont", IP_PMTUDISC_DONT},
	{"want", IP_PMTUDISC_WANT},
	{"do", IP_PMTUDISC_DO},
	{"probe", IP_PMTUDISC_PROBE},
	{"interface", IP_PMTUDISC_INTERFACE},
	{"omit", IP_PMTUDISC_OMIT},
	{NULL, 0},
};

/* Receive flags alone: a transmit flag would fill the error queue of every socket. */
static const struct sockopt_word timestamping[] = {
	{"off", 0},
	{"software", SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE},
	{"hardware", SOF_TIMESTAMPING_RX_HARDWARE | SOF_TIMESTAMPING_RAW_HARDWARE},
	{"both", SOF_TIMESTAMPING_RX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE |
			 SOF_TIMESTAMPING_RX_HARDWARE | SOF_TIMESTAMPING_RAW_HARDWARE},
	{NULL, 0},
};

/* name, level and option of a row in one word */
#define ROW(level_, option_) .name = #option_, .level = (level_), .option = (option_)

const struct sockopt_row sockopts[] = {
	{ROW(SOL_SOCKET, SO_BROADCAST), .type = OPT_BOOL, .protocols = UDP,
	 .text = "Allow sending to broadcast addresses."},
	{ROW(SOL_SOCKET, SO_KEEPALIVE), .type = OPT_BOOL, .protocols = STREAMS,
	 .text = "Probe idle connections and end those whose peer is gone."},
	{ROW(SOL_SOCKET, SO_LINGER), .type = OPT_LINGER, .protocols = STREAMS, .max = 3600,
	 .text = "How long close(2) waits for unsent data; 0 makes it a reset."},
	{ROW(SOL_SOCKET, SO_RCVBUF), .type = OPT_SIZE, .protocols = ALL, .not_copied = UNIX,
	 .min = 1, .max = BUFFER_MAX, .doubled = true,
	 .text = "Receive buffer; the kernel doubles it, within net.core.rmem_max."},
	{ROW(SOL_SOCKET, SO_RCVLOWAT), .type = OPT_INT, .protocols = INTERNET | UNIX,
	 .not_copied = UNIX, .min = 1, .max = INT32_MAX,
	 .text = "Bytes that must be there before a socket is readable."},
	{ROW(SOL_SOCKET, SO_REUSEADDR), .type = OPT_BOOL, .protocols = INTERNET,
	 .text = "Bind although old connections linger; on UDP, share the port."},
	{ROW(SOL_SOCKET, SO_SNDLOWAT), .type = OPT_INT, .protocols = ALL, .min = 1, .max = 1,
	 .refused = "Linux does not let one set it; it is always 1",
	 .text = "Room that must be there before a socket is writable."},
	{ROW(SOL_SOCKET, SO_SNDBUF), .type = OPT_SIZE, .protocols = ALL, .not_copied = UNIX,
	 .min = 1, .max = BUFFER_MAX, .doubled = true,
	 .text = "Send buffer; the kernel doubles it, within net.core.wmem_max."},
	{ROW(SOL_SOCKET, SO_REUSEPORT), .type = OPT_BOOL, .protocols = INTERNET,
	 .text = "Let several sockets of one user share the port."},
	{ROW(SOL_SOCKET, SO_BINDTODEVICE), .type = OPT_STRING, .protocols = INTERNET, .max = 15,
	 .text = "Only packets of this network interface."},
	{ROW(SOL_SOCKET, SO_PRIORITY), .type = OPT_INT, .protocols = INTERNET,
	 .not_copied = STREAMS, .max = INT32_MAX, .needs = NEEDS_NET_ADMIN, .needs_above = 6,
	 .text = "Queueing priority of what is sent; above 6 needs CAP_NET_ADMIN."},
	{ROW(SOL_SOCKET, SO_MARK), .type = OPT_INT, .protocols = INTERNET, .max = UINT32_MAX,
	 .needs = NEEDS_NET_ADMIN, .needs_above = -1,
	 .text = "Firewall mark of what is sent; needs CAP_NET_ADMIN."},
	{ROW(SOL_SOCKET, SO_RCVTIMEO), .type = OPT_TIME, .protocols = ALL, .not_copied = UNIX,
	 .max = 86400 * MILLION, .text = "Longest wait of a blocking receive; 0 is for ever."},
	{ROW(SOL_SOCKET, SO_SNDTIMEO), .type = OPT_TIME, .protocols = ALL, .not_copied = UNIX,
	 .max = 86400 * MILLION, .text = "Longest wait of a blocking send; 0 is for ever."},
	{ROW(SOL_SOCKET, SO_RCVBUFFORCE), .type = OPT_SIZE, .protocols = ALL & ~UNIX, .min = 1,
	 .max = BUFFER_MAX, .doubled = true, .read_option = SO_RCVBUF, .needs = NEEDS_NET_ADMIN,
	 .text = "SO_RCVBUF beyond net.core.rmem_max; needs CAP_NET_ADMIN."},
	{ROW(SOL_SOCKET, SO_SNDBUFFORCE), .type = OPT_SIZE, .protocols = ALL & ~UNIX, .min = 1,
	 .max = BUFFER_MAX, .doubled = true, .read_option = SO_SNDBUF, .needs = NEEDS_NET_ADMIN,
	 .text = "SO_SNDBUF beyond net.core.wmem_max; needs CAP_NET_ADMIN."},
	{ROW(SOL_SOCKET, SO_OOBINLINE), .type = OPT_BOOL, .protocols = TCP,
	 .text = "Leave urgent bytes in the stream."},
	{ROW(SOL_SOCKET, SO_BUSY_POLL), .type = OPT_INT, .protocols = INTERNET, .max = 1000000,
	 .needs = NEEDS_NET_ADMIN,
	 .text = "Microseconds to poll the device; raising it needs CAP_NET_ADMIN."},
	{ROW(SOL_SOCKET, SO_INCOMING_CPU), .type = OPT_INT, .protocols = INTERNET, .max = 65535,
	 .text = "Prefer packets that this processor handles."},
	{ROW(SOL_SOCKET, SO_MAX_PACING_RATE), .type = OPT_SIZE, .protocols = TCP | UDP, .min = 1,
	 .max = UINT32_MAX, .text = "Bytes a second that one socket may send."},
	{ROW(SOL_SOCKET, SO_TIMESTAMPING), .type = OPT_NAMES, .protocols = INTERNET,
	 .words = timestamping, .text = "Receive time stamps."},

	{ROW(IPPROTO_IP, IP_TOS), .type = OPT_INT, .protocols = INTERNET, .family = AF_INET,
	 .max = 255, .text = "Type of service: DSCP times 4."},
	{ROW(IPPROTO_IP, IP_TTL), .type = OPT_INT, .protocols = TCP | UDP, .family = AF_INET,
	 .min = 1, .max = 255, .text = "Time to live of what is sent."},
	{ROW(IPPROTO_IP, IP_FREEBIND), .type = OPT_BOOL, .protocols = INTERNET, .family = AF_INET,
	 .text = "Bind to an address that the host does not have (yet)."},
	{ROW(IPPROTO_IP, IP_TRANSPARENT), .type = OPT_BOOL, .protocols = INTERNET,
	 .family = AF_INET, .needs = NEEDS_NET_ADMIN,
	 .text = "Serve foreign addresses; needs CAP_NET_ADMIN."},
	{ROW(IPPROTO_IP, IP_MTU_DISCOVER), .type = OPT_NAMES, .protocols = TCP | UDP,
	 .family = AF_INET, .words = mtu_discover, .text = "Path MTU discovery."},
	{ROW(IPPROTO_IP, IP_MULTICAST_TTL), .type = OPT_INT, .protocols = UDP, .family = AF_INET,
	 .max = 255, .text = "Time to live of what is sent to groups."},
	{ROW(IPPROTO_IP, IP_MULTICAST_LOOP), .type = OPT_BOOL, .protocols = UDP, .family = AF_INET,
	 .text = "What is sent to groups also reaches this host."},
	{ROW(IPPROTO_IP, IP_ADD_MEMBERSHIP), .type = OPT_MEMBERSHIP, .protocols = UDP,
	 .family = AF_INET, .unreadable = true, .text = "Join a group; for several, udp.groups."},
	{ROW(IPPROTO_IP, IP_DROP_MEMBERSHIP), .type = OPT_MEMBERSHIP, .protocols = UDP,
	 .family = AF_INET, .unreadable = true,
	 .refused = "a new socket is in no group that it could leave", .text = "Leave a group."},

	{ROW(IPPROTO_IPV6, IPV6_V6ONLY), .type = OPT_BOOL, .protocols = INTERNET,
	 .family = AF_INET6, .text = "No IPv4 on an IPv6 socket."},
	{ROW(IPPROTO_IPV6, IPV6_TCLASS), .type = OPT_INT, .protocols = TCP | UDP,
	 .family = AF_INET6, .max = 255, .text = "Traffic class: DSCP times 4."},
	{ROW(IPPROTO_IPV6, IPV6_UNICAST_HOPS), .type = OPT_INT, .protocols = TCP | UDP,
	 .family = AF_INET6, .min = 1, .max = 255, .text = "Hop limit of what is sent."},
	{ROW(IPPROTO_IPV6, IPV6_FREEBIND), .type = OPT_BOOL, .protocols = INTERNET,
	 .family = AF_INET6, .text = "Bind to an address that the host does not have (yet)."},
	{ROW(IPPROTO_IPV6, IPV6_TRANSPARENT), .type = OPT_BOOL, .protocols = INTERNET,
	 .family = AF_INET6, .needs = NEEDS_NET_ADMIN,
	 .text = "Serve foreign addresses; needs CAP_NET_ADMIN."},
	{ROW(IPPROTO_IPV6, IPV6_MTU_DISCOVER), .type = OPT_NAMES, .protocols = TCP | UDP,
	 .family = AF_INET6, .words = mtu_discover, .text = "Path MTU discovery."},
	{ROW(IPPROTO_IPV6, IPV6_MULTICAST_HOPS), .type = OPT_INT, .protocols = UDP,
	 .family = AF_INET6, .max = 255, .text = "Hop limit of what is sent to groups."},
	{ROW(IPPROTO_IPV6, IPV6_MULTICAST_LOOP), .type = OPT_BOOL, .protocols = UDP,
	 .family = AF_INET6, .text = "What is sent to groups also reaches this host."},
	{ROW(IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP), .type = OPT_MEMBERSHIP, .protocols = UDP,
	 .family = AF_INET6, .unreadable = true, .text = "Join a group; for several, udp.groups."},
	{ROW(IPPROTO_IPV6, IPV6_DROP_MEMBERSHIP), .type = OPT_MEMBERSHIP, .protocols = UDP,
	 .family = AF_INET6, .unreadable = true,
	 .refused = "a new socket is in no group that it could leave", .text = "Leave a group."},

	{ROW(IPPROTO_TCP, TCP_NODELAY), .type = OPT_BOOL, .protocols = STREAMS,
	 .text = "Send small segments at once (no Nagle)."},
	{ROW(IPPROTO_TCP, TCP_KEEPIDLE), .type = OPT_SECONDS, .protocols = STREAMS, .min = 1,
	 .max = 32767, .text = "Keepalive time: silence before the first probe."},
	{ROW(IPPROTO_TCP, TCP_KEEPINTVL), .type = OPT_SECONDS, .protocols = STREAMS, .min = 1,
	 .max = 32767, .text = "Time between keepalive probes."},
	{ROW(IPPROTO_TCP, TCP_KEEPCNT), .type = OPT_INT, .protocols = STREAMS, .min = 1, .max = 127,
	 .text = "Unanswered probes that end a connection."},
	{ROW(IPPROTO_TCP, TCP_USER_TIMEOUT), .type = OPT_INT, .protocols = TCP, .max = INT32_MAX,
	 .text = "Milliseconds that sent data may stay unacknowledged."},
	{ROW(IPPROTO_TCP, TCP_DEFER_ACCEPT), .type = OPT_SECONDS, .protocols = STREAMS, .max = 3600,
	 .text = "Accept only once data came, or after about this time."},
	{ROW(IPPROTO_TCP, TCP_FASTOPEN), .type = OPT_INT, .stage = AT_BOUND, .protocols = STREAMS,
	 .max = 65535, .text = "Pending fast-open requests."},
	{ROW(IPPROTO_TCP, TCP_QUICKACK), .type = OPT_BOOL, .protocols = TCP, .not_copied = TCP,
	 .text = "Acknowledge at once, until the kernel decides anew."},
	{ROW(IPPROTO_TCP, TCP_CORK), .type = OPT_BOOL, .protocols = STREAMS,
	 .text = "Hold partial segments for up to 200 ms."},
	{ROW(IPPROTO_TCP, TCP_MAXSEG), .type = OPT_INT, .protocols = STREAMS, .min = 88,
	 .max = 32767, .zero_unsets = true, .text = "Largest segment, announced to the peer."},
	{ROW(IPPROTO_TCP, TCP_CONGESTION), .type = OPT_STRING, .protocols = STREAMS, .max = 15,
	 .needs = NEEDS_NET_ADMIN,
	 .free_words = "/proc/sys/net/ipv4/tcp_allowed_congestion_control",
	 .text = "Congestion control of net.ipv4.tcp_allowed_congestion_control; others need "
		 "CAP_NET_ADMIN."},
	{ROW(IPPROTO_TCP, TCP_WINDOW_CLAMP), .type = OPT_SIZE, .protocols = TCP, .min = 1,
	 .max = BUFFER_MAX, .text = "Largest window that is offered."},
	{ROW(IPPROTO_TCP, TCP_NOTSENT_LOWAT), .type = OPT_SIZE, .protocols = STREAMS,
	 .max = UINT32_MAX, .text = "Unsent bytes above which a socket is not writable."},
	{ROW(IPPROTO_TCP, TCP_SYNCNT), .type = OPT_INT, .protocols = TCP, .min = 1, .max = 127,
	 .text = "Retransmissions of a SYN."},
	{ROW(IPPROTO_TCP, TCP_LINGER2), .type = OPT_SECONDS, .protocols = TCP, .max = 120,
	 .text = "How long an orphan stays in FIN_WAIT2."},
};

const size_t n_sockopts = sizeof(sockopts) / sizeof(sockopts[0]);

_Static_assert(sizeof(sockopts) / sizeof(sockopts[0]) <= SOCKOPTS_MAX, "SOCKOPTS_MAX is too small");
