/* SPDX-License-Identifier: ISC */
/* What a path makes of headers: source ports, which choose among equal ways (ECMP, LAG), and
 * DSCP, which may be filtered or wiped. */
#include "interrupt.h"
#include "moment.h"
#include "path.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

enum { MESSAGE = 32 /* bytes */, PORTS_TOLD = 8, SLOWER_MS = 2 };

/* One source port. */
struct port {
	uint16_t number;
	int64_t sent, lost;
	int64_t best; /* ns; INT64_MAX: none came */
};

static void ask_dgram(struct path *p, struct port *port)
{
	struct sock_conf conf = path_dgram_conf(p);
	struct address local;
	struct path_try try;
	const char *what;
	int fd = sock_open(&conf, p->udp, 0, &what);

	if (fd < 0)
		return;
	for (; port->sent < p->conf->count && !interrupt_seen(); port->sent++) {
		path_datagram(p, fd, p->udp, MESSAGE, 1, path_wait(p), &try);
		if (try.answer != PATH_WHOLE)
			port->lost++;
		else if (try.rtt < port->best)
			port->best = try.rtt;
	}
	sock_name(fd, &local);
	port->number = address_port(&local);
	close(fd);
}

static void ask_stream(const struct path *p, struct port *port)
{
	struct sock_conf conf = path_stream_conf(p);
	struct address local;
	const char *what;
	int64_t rtt = 0;
	int fd = sock_connect(&conf, p->tcp, moment_now() + p->conf->timeout, &what);

	if (fd < 0) {
		port->sent = port->lost = 1;
		return;
	}
	sock_name(fd, &local);
	port->number = address_port(&local);
	/* A stream that lost one will not give the next either. */
	for (; port->sent < p->conf->count && rtt >= 0; port->sent++) {
		rtt = path_message(fd, MESSAGE, p->conf->timeout);
		if (rtt < 0)
			port->lost++;
		else if (rtt < port->best)
			port->best = rtt;
	}
	close(fd);
}

/* What all ports together say. */
struct sweep {
	int dead, lossy, asked;
	int64_t sent, lost, best, worst; /* of the ports' best times */
	char names[128];                 /* of dead or lossy ports */
};

static void add(struct sweep *s, const struct port *port, json_t *list)
{
	size_t n = strlen(s->names);

	s->asked++;
	s->sent += port->sent;
	s->lost += port->lost;
	if (port->lost == port->sent)
		s->dead++;
	else if (port->lost > 0)
		s->lossy++;
	if (port->lost > 0 && s->dead + s->lossy <= PORTS_TOLD)
		snprintf(s->names + n, sizeof(s->names) - n, " %u", port->number);
	if (port->best != INT64_MAX && port->best < s->best)
		s->best = port->best;
	if (port->best != INT64_MAX && port->best > s->worst)
		s->worst = port->best;
	json_array_append_new(list, json_pack("{s:i, s:I, s:I, s:o}", "port", (int)port->number,
					      "sent", (json_int_t)port->sent, "lost",
					      (json_int_t)port->lost, "best_rtt_ms",
					      port->best == INT64_MAX
						      ? json_null()
						      : json_real((double)port->best / MOMENT_MS)));
}

void path_check_ports(struct path *p, struct verdict *v)
{
	struct sweep s = {.best = INT64_MAX};
	json_t *list = json_array();
	double best, worst;

	for (int64_t i = 0; i < p->conf->ports && !interrupt_seen(); i++) {
		struct port port = {.best = INT64_MAX};

		if (p->udp)
			ask_dgram(p, &port);
		else
			ask_stream(p, &port);
		if (port.sent > 0)
			add(&s, &port, list);
	}
	json_object_set_new(v->details, "ports", list);
	best = (double)s.best / MOMENT_MS;
	worst = (double)s.worst / MOMENT_MS;
	if (s.asked == 0)
		path_say(v, PATH_UNKNOWN, "no port could be tried");
	else if (s.dead == s.asked)
		path_say(v, PATH_BROKEN, "none of %d source ports gets an answer any more",
			 s.asked);
	else if (s.dead > 0)
		path_say(v, PATH_BROKEN,
			 "%d of %d source ports get no answer at all, the others do:%s%s", s.dead,
			 s.asked, s.names, s.dead > PORTS_TOLD ? " ..." : "");
	else if (s.lossy > 0)
		path_say(v, PATH_DEGRADED,
			 "%d of %d source ports lose some (%" PRId64 " of %" PRId64 "):%s%s",
			 s.lossy, s.asked, s.lost, s.sent, s.names,
			 s.lossy > PORTS_TOLD ? " ..." : "");
	else if (s.worst > s.best * 3 / 2 + SLOWER_MS * (int64_t)MOMENT_MS)
		path_say(v, PATH_DEGRADED,
			 "%d source ports, best times from %.3f to %.3f ms: ways of different "
			 "length",
			 s.asked, best, worst);
	else
		path_say(v, PATH_OK, "%d source ports, none loses any, best times %.3f to %.3f ms",
			 s.asked, best, worst);
}

/* A mark that is set, and what becomes of it. */
struct mark {
	const char *name;
	int value;
	bool lost;   /* no answer to what carries it */
	int arrives; /* as what; -1 unknown */
};

/* Ask about one mark: an echo, and the report listener if there is one. */
static void ask_mark(struct path *p, struct mark *m)
{
	struct sock_conf conf = path_dgram_conf(p);
	struct path_try try;
	const char *what;
	json_t *report, *tos;
	int fd;

	m->arrives = -1;
	conf.dscp = m->value;
	fd = sock_open(&conf, p->udp, 0, &what);
	if (fd < 0)
		return;
	path_datagram(p, fd, p->udp, MESSAGE, 3, path_wait(p), &try);
	m->lost = try.answer != PATH_WHOLE;
	close(fd);
	if (m->lost || p->conf->report_port == 0)
		return;
	report = path_ask(p, &conf);
	tos = json_object_get(report, "tos");
	if (json_is_integer(tos))
		m->arrives = (int)(json_integer_value(tos) & 0xff) >> 2; /* RFC 2474, 3 */
	json_decref(report);
}

/* What is said of the marks that do not arrive as they were set. */
struct fate {
	char text[160];
	int n, bleached;
};

static void add_fate(struct fate *f, const struct mark *m)
{
	size_t n = strlen(f->text);

	if (m->arrives == m->value)
		return;
	f->n++;
	f->bleached += m->arrives == 0;
	snprintf(f->text + n, sizeof(f->text) - n, "%s%s%s as %d", n ? ", " : "", m->name,
		 n ? "" : " arrives", m->arrives);
}

void path_check_dscp(struct path *p, struct verdict *v)
{
	struct mark marks[] = {
		{.name = "CS0", .value = 0}, {.name = "LE", .value = 1},
		{.name = "CS1", .value = 8}, {.name = "AF41", .value = 34},
		{.name = "EF", .value = 46}, {.name = "CS6", .value = 48},
	};
	struct fate fate = {.n = 0};
	char lost[64] = "";
	bool told = false;

	for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
		struct mark *m = &marks[i];
		size_t n = strlen(lost);

		ask_mark(p, m);
		if (m->lost)
			snprintf(lost + n, sizeof(lost) - n, " %s", m->name);
		json_object_set_new(v->details, m->name,
				    m->arrives < 0 ? json_boolean(!m->lost)
						   : json_integer(m->arrives));
		told |= m->arrives >= 0;
		if (m->arrives >= 0)
			add_fate(&fate, m);
	}
	if (lost[0])
		path_say(v, PATH_BROKEN, "datagrams marked so get no answer:%s", lost);
	else if (!told)
		path_say(v, PATH_UNKNOWN,
			 "every mark is answered; whether it survives, only a "
			 "report listener could tell%s",
			 p->conf->report_port ? ", and its port gives no report" : "");
	else if (fate.n == 0)
		path_say(v, PATH_OK, "every mark arrives as it was set");
	else
		path_say(v, PATH_DEGRADED, "marks are %s: %s",
			 fate.bleached == fate.n ? "bleached" : "rewritten", fate.text);
}
