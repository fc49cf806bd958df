/* SPDX-License-Identifier: ISC */
/* What only the far side can tell: it is asked at a listener with respond = "report", whose
 * port the user names.  The question is as long as any report, since no answer is longer. */
#include "interrupt.h"
#include "moment.h"
#include "path.h"
#include "reply.h"

#include <arpa/inet.h>
#include <string.h>
#include <unistd.h>

enum {
	QUESTION = 512, /* bytes: enough for a report, and no network cuts it (RFC 1122, 3.3.2) */
	TRIES = 3,
	HOSTS_TOLD = 8
};

static struct address at_port(const struct address *a, int64_t port)
{
	struct address to = *a;

	if (to.sa.sa_family == AF_INET6)
		to.in6.sin6_port = htons((uint16_t)port);
	else
		to.in.sin_port = htons((uint16_t)port);
	return to;
}

/* Send the question, and wait for a report.  Returns it or NULL. */
static json_t *ask_once(struct path *p, int fd, const struct address *to)
{
	static const char question[QUESTION];
	int64_t deadline = moment_now() + path_wait(p);
	struct reply r;

	if (reply_send(fd, question, sizeof(question), to) < 0)
		return NULL;
	while (reply_wait(fd, p->in, &r, deadline) == 1) {
		json_t *report = NULL;

		if (r.error == 0 && address_equal(&r.from, to))
			report = json_loadb(p->in, r.size, 0, NULL);
		if (json_is_object(report))
			return report;
		json_decref(report);
	}
	return NULL;
}

json_t *path_ask(struct path *p, const struct sock_conf *conf)
{
	struct address to = at_port(p->udp, p->conf->report_port);
	json_t *report = NULL;
	const char *what;
	int fd = sock_open(conf, &to, 0, &what);

	if (fd < 0)
		return NULL;
	for (int i = 0; i < TRIES && !report && !interrupt_seen(); i++)
		report = ask_once(p, fd, &to);
	close(fd);
	return report;
}

/* Who answered, as "HOST" and how often; names that a host gives itself are not trusted to be
 * fit for a terminal. */
static void tell(const json_t *hosts, char *text, size_t size)
{
	const char *name;
	json_t *times;
	size_t n = 0;
	int told = 0;

	json_object_foreach((json_t *)hosts, name, times)
	{
		if (n >= size || ++told > HOSTS_TOLD)
			break;
		n += (size_t)snprintf(text + n, size - n, "%s%.60s (%lld)", n ? ", " : "", name,
				      (long long)json_integer_value(times));
	}
	for (char *c = text; *c; c++)
		if ((unsigned char)*c < ' ' || (unsigned char)*c >= 127)
			*c = '?';
}

void path_check_who(struct path *p, struct verdict *v)
{
	struct sock_conf conf = path_dgram_conf(p);
	json_t *hosts = json_object();
	char text[300] = "";
	int asked = 0, answers = 0;

	for (int64_t i = 0; i < p->conf->ports && !interrupt_seen(); i++) {
		json_t *report = path_ask(p, &conf);
		const char *host = json_string_value(json_object_get(report, "host"));

		asked++;
		if (host) {
			json_int_t before = json_integer_value(json_object_get(hosts, host));

			answers++;
			json_object_set_new(hosts, host, json_integer(before + 1));
		}
		json_decref(report);
		if (!host && answers == 0)
			break; /* nobody reports there */
	}
	json_object_set_new(v->details, "hosts", hosts);
	tell(hosts, text, sizeof(text));
	if (answers == 0)
		path_say(v, PATH_UNKNOWN, "no report from port %lld",
			 (long long)p->conf->report_port);
	else
		path_say(v, answers < asked ? PATH_DEGRADED : PATH_OK,
			 "%d of %d source ports have a report, from: %s", answers, asked, text);
}
