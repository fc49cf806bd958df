/* SPDX-License-Identifier: ISC */
/* The counter rows.  A name is as in enum counter, in small letters. */
#include "stats.h"

#include <inttypes.h>
#include <stdio.h>

const struct counter_row counters[N_COUNTERS] = {
	[C_CONNECTIONS_ACCEPTED] = {"connections_accepted", "connections taken from the backlog"},
	[C_CLOSED_EOF] = {"closed_eof", "ended by the client, everything was sent back"},
	[C_CLOSED_RESET] = {"closed_reset", "reset by the client or the network"},
	[C_CLOSED_IDLE] = {"closed_idle", "ended after idle_timeout"},
	[C_CLOSED_LIFETIME] = {"closed_lifetime", "ended after lifetime"},
	[C_CLOSED_WRITE_TIMEOUT] = {"closed_write_timeout",
				    "reset: the client took nothing for write_timeout"},
	[C_CLOSED_DRAIN] = {"closed_drain", "ended because the worker was told to stop"},
	[C_CLOSED_ANSWERED] = {"closed_answered", "ended after the report that a connection gets"},
	[C_CLOSED_PROXY_UNTRUSTED] = {"closed_proxy_untrusted",
				      "refused: the peer is no proxy in proxy_trusted"},
	[C_CLOSED_PROXY_MALFORMED] = {"closed_proxy_malformed",
				      "refused: what the proxy sent first is no PROXY header"},
	[C_CLOSED_PROXY_TIMEOUT] = {"closed_proxy_timeout",
				    "refused: the PROXY header did not come in time"},
	[C_CLOSED_REFUSED] = {"closed_refused", "ended: allow, deny or a limit forbids it by now"},
	[C_CLOSED_ERROR] = {"closed_error", "ended by an error of this host, such as no memory"},
	[C_CLOSED_KILLED] = {"closed_killed", "lost with their process"},
	[C_REJECTED_FULL] = {"rejected_full", "turned away at max_clients (when_full)"},
	[C_REJECTED_ACL] = {"rejected_acl", "turned away: not in allow, or in deny"},
	[C_REJECTED_SOURCE] = {"rejected_source", "turned away at max_clients_per_source"},
	[C_REJECTED_RATE] = {"rejected_rate", "turned away: faster than connection_rate"},
	[C_BYTES_IN] = {"bytes_in", "bytes received, of streams and datagrams"},
	[C_BYTES_OUT] = {"bytes_out", "bytes sent back, of streams and datagrams"},
	[C_ECHOES] = {"echoes", "reads of a stream, or datagrams, that were sent back whole"},
	[C_REPORTS] = {"reports", "reports that were sent whole, of streams and datagrams"},
	[C_DATAGRAMS_IN] = {"datagrams_in", "datagrams received"},
	[C_DATAGRAMS_OUT] = {"datagrams_out", "datagrams sent back"},
	[C_DATAGRAMS_DISCARDED] = {"datagrams_discarded",
				   "datagrams thrown away as respond = \"discard\" wants"},
	[C_REFUSED_SOURCE_PORT] = {"refused_source_port",
				   "not answered: source port in refuse_source_ports"},
	[C_REFUSED_OWN_PORT] = {"refused_own_port",
				"not answered: source port is one that echod serves"},
	[C_REFUSED_SOURCE] = {"refused_source",
			      "not answered: no host can have that source address"},
	[C_REFUSED_DESTINATION] = {"refused_destination",
				   "not answered: sent to a broadcast or multicast address"},
	[C_REFUSED_TRUNCATED] = {"refused_truncated", "not answered: longer than the buffer"},
	[C_REFUSED_SHORT] = {"refused_short", "not answered: too short for any report"},
	[C_REFUSED_ACL] = {"refused_acl", "not answered: not in allow, or in deny"},
	[C_REFUSED_NO_TCP] = {"refused_no_tcp",
			      "not answered: no handshake of TCP lately (require_tcp_first)"},
	[C_REFUSED_RATE] = {"refused_rate", "not answered: faster than udp.rate"},
	[C_REFUSED_LOOP] = {"refused_loop", "not answered: the same again and again, as in a loop"},
	[C_DROPPED_SEND] = {"dropped_send", "the answer could not be sent"},
	[C_ACCEPT_EMFILE] = {"accept_emfile", "accept: this process is out of descriptors"},
	[C_ACCEPT_ENFILE] = {"accept_enfile", "accept: the system is out of descriptors"},
	[C_ACCEPT_ENOBUFS] = {"accept_enobufs", "accept: no room for socket buffers"},
	[C_ACCEPT_ENOMEM] = {"accept_enomem", "accept: no memory"},
	[C_ACCEPT_ABORTED] = {"accept_aborted", "accept: the connection was gone already"},
	[C_ACCEPT_OTHER] = {"accept_other", "accept: any other error"},
	[C_SPAWN_FAILED] = {"spawn_failed", "a process or thread for a client could not be made"},
	[C_WORKERS_STARTED] = {"workers_started", "worker processes started"},
	[C_WORKERS_DIED] = {"workers_died", "worker processes that ended without being told to"},
};

void stats_sum(uint64_t sum[N_COUNTERS], const struct stats *s)
{
	for (int i = 0; i < N_COUNTERS; i++)
		sum[i] += s->value[i];
}

uint64_t stats_active(const uint64_t sum[N_COUNTERS])
{
	uint64_t closed = 0;

	for (int i = C_CLOSED_EOF; i <= C_CLOSED_KILLED; i++)
		closed += sum[i];
	/* Read while it changes, a connection may be seen to close before it is seen to open. */
	return sum[C_CONNECTIONS_ACCEPTED] > closed ? sum[C_CONNECTIONS_ACCEPTED] - closed : 0;
}

char *stats_format(const uint64_t sum[N_COUNTERS], char *buf, size_t size)
{
	size_t n = (size_t)snprintf(buf, size, "connections_active=%" PRIu64, stats_active(sum));

	for (int i = 0; i < N_COUNTERS && n < size; i++)
		n += (size_t)snprintf(buf + n, size - n, " %s=%" PRIu64, counters[i].name, sum[i]);
	return buf;
}
