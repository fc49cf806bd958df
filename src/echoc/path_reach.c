/* SPDX-License-Identifier: ISC */
/* Does it answer at all, over TCP, over UDP, over IPv4 and over IPv6? */
#include "moment.h"
#include "path.h"
#include "reply.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { MESSAGE = 56 /* bytes */ };

/* A connection and one echo over it: the echo's time, or -errno. */
static int64_t ask_stream(const struct path *p, const struct address *to, int64_t *connect)
{
	struct sock_conf conf = path_stream_conf(p);
	int64_t before = moment_now(), r;
	const char *what;
	int fd = sock_connect(&conf, to, before + p->conf->timeout, &what);

	if (fd < 0)
		return fd;
	*connect = moment_now() - before;
	r = path_message(fd, MESSAGE, p->conf->timeout);
	close(fd);
	return r;
}

static int64_t ask_dgram(struct path *p, const struct address *to, struct path_try *out)
{
	struct sock_conf conf = path_dgram_conf(p);
	const char *what;
	int fd = sock_open(&conf, to, 0, &what);

	*out = (struct path_try){.answer = PATH_ERROR};
	if (fd < 0) {
		snprintf(out->complaint, sizeof(out->complaint), "%s", what);
		return fd;
	}
	path_datagram(p, fd, to, MESSAGE, 2, p->conf->timeout / 2, out);
	close(fd);
	switch (out->answer) {
	case PATH_WHOLE:
		return out->rtt;
	case PATH_SILENT:
		return -ETIMEDOUT;
	case PATH_ERROR:
	case PATH_TOO_BIG:
		return out->error;
	default:
		return -EBADMSG;
	}
}

/* What kept an echo over a stream from coming back. */
static const char *reason(int error)
{
	switch (error) {
	case -EPIPE:
		return "the far side closes, and does not answer";
	case -EBADMSG:
		return "the answer is changed";
	default:
		return strerror(-error);
	}
}

void path_check_tcp(struct path *p, struct verdict *v)
{
	char text[ADDRESS_TEXT_MAX];
	int64_t rtt = -EADDRNOTAVAIL, connect = 0;

	for (size_t i = 0; i < p->target->n && !p->tcp; i++) {
		rtt = ask_stream(p, &p->target->addresses[i], &connect);
		address_format(&p->target->addresses[i], text);
		if (rtt >= 0)
			p->tcp = &p->target->addresses[i];
	}
	if (!p->tcp) {
		path_say(v, PATH_BROKEN, "%s: %s", text, reason((int)rtt));
		v->code = exits_of((int)rtt);
		return;
	}
	p->rtt = rtt;
	path_say(v, PATH_OK, "%s: connects in %.3f ms, echoes in %.3f ms", text,
		 (double)connect / MOMENT_MS, (double)rtt / MOMENT_MS);
	json_object_set_new(v->details, "connect_ms", json_real((double)connect / MOMENT_MS));
	json_object_set_new(v->details, "rtt_ms", json_real((double)rtt / MOMENT_MS));
}

void path_check_udp(struct path *p, struct verdict *v)
{
	char text[ADDRESS_TEXT_MAX];
	struct path_try try = {.answer = PATH_SILENT};
	int64_t rtt = -EADDRNOTAVAIL;

	for (size_t i = 0; i < p->target->n && !p->udp; i++) {
		rtt = ask_dgram(p, &p->target->addresses[i], &try);
		address_format(&p->target->addresses[i], text);
		if (rtt >= 0)
			p->udp = &p->target->addresses[i];
	}
	if (p->udp) {
		p->rtt = rtt;
		path_say(v, PATH_OK, "%s: echoes in %.3f ms", text, (double)rtt / MOMENT_MS);
		json_object_set_new(v->details, "rtt_ms", json_real((double)rtt / MOMENT_MS));
		return;
	}
	if (try.answer == PATH_WRONG)
		path_say(v, PATH_BROKEN, "%s: the answer is changed, or from another address",
			 text);
	else if (try.answer == PATH_CUT)
		path_say(v, PATH_BROKEN, "%s: the answer is cut at %zu of %d bytes", text, try.got,
			 MESSAGE);
	else if (try.answer == PATH_SILENT)
		path_say(v, PATH_BROKEN, "%s: no answer", text);
	else
		path_say(v, PATH_BROKEN, "%s: %s (%s)", text, strerror((int)-rtt), try.complaint);
	v->code = exits_of((int)rtt);
}

/* The first address of FAMILY, or NULL. */
static const struct address *of_family(const struct target *t, int family)
{
	for (size_t i = 0; i < t->n; i++)
		if (t->addresses[i].sa.sa_family == family)
			return &t->addresses[i];
	return NULL;
}

void path_check_families(struct path *p, struct verdict *v)
{
	static const char *const names[] = {"IPv4", "IPv6"};
	const struct address *to[] = {of_family(p->target, AF_INET),
				      of_family(p->target, AF_INET6)};
	const char *over = p->tcp ? "TCP" : "UDP";
	int64_t rtt[2], connect;
	struct path_try try;
	int slow;

	if (!to[0] || !to[1]) {
		path_say(v, PATH_UNKNOWN, "%s has only an %s address", p->target->host,
			 names[to[0] ? 0 : 1]);
		return;
	}
	for (int i = 0; i < 2; i++) {
		rtt[i] = p->tcp ? ask_stream(p, to[i], &connect) : ask_dgram(p, to[i], &try);
		json_object_set_new(v->details, i ? "ipv6_rtt_ms" : "ipv4_rtt_ms",
				    rtt[i] < 0 ? json_null()
					       : json_real((double)rtt[i] / MOMENT_MS));
	}
	slow = rtt[1] > rtt[0];
	if (rtt[0] < 0 || rtt[1] < 0) {
		int bad = rtt[0] < 0 ? 0 : 1;

		path_say(v, PATH_BROKEN,
			 "%s has an address and does not answer over %s: %s; %s does", names[bad],
			 over, reason((int)rtt[bad]), names[!bad]);
		v->code = exits_of((int)rtt[bad]);
	} else if (rtt[slow] > 2 * rtt[!slow] + 10 * (int64_t)MOMENT_MS) {
		path_say(v, PATH_DEGRADED, "%s takes %.3f ms, %s only %.3f ms", names[slow],
			 (double)rtt[slow] / MOMENT_MS, names[!slow],
			 (double)rtt[!slow] / MOMENT_MS);
	} else {
		path_say(v, PATH_OK, "IPv4 %.3f ms, IPv6 %.3f ms over %s",
			 (double)rtt[0] / MOMENT_MS, (double)rtt[1] / MOMENT_MS, over);
	}
}
