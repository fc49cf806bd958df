/* SPDX-License-Identifier: ISC */
/* The largest datagram that comes back: with DF it tells the MTU of the way there and whether
 * an ICMP says so; without, whether fragments pass.  The answer's way is the server's matter:
 * it may fragment where we must not. */
#include "moment.h"
#include "path.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

enum { TRIES = 3, LARGEST_4 = 65507, LARGEST_6 = 65527, HEAD_4 = 28, HEAD_6 = 48 };

/* What the search has found. */
struct search {
	size_t largest;  /* that comes back, bytes of data */
	size_t smallest; /* that does not; 0: all do */
	size_t cut;      /* 0, or how much comes back of a larger one */
	bool local;      /* the smallest does not even leave this host */
	uint32_t mtu;    /* that an ICMP told; 0: none did */
	char complaint[128];
	int error; /* of the system, -errno */
};

static void note(struct search *s, size_t size, const struct path_try *try)
{
	if (try->answer == PATH_WHOLE) {
		s->largest = size;
		return;
	}
	s->smallest = size;
	s->local = try->answer == PATH_TOO_BIG && try->local;
	if (try->answer == PATH_CUT)
		s->cut = try->got;
	if (try->answer == PATH_TOO_BIG && !try->local) {
		s->mtu = try->mtu;
		memcpy(s->complaint, try->complaint, sizeof(s->complaint));
	}
}

/* The size to try next: what was told is a better guess than the middle. */
static size_t guess(const struct search *s, const struct path_try *last, size_t head)
{
	size_t told = last->mtu > head           ? last->mtu - head
		      : last->answer == PATH_CUT ? last->got
						 : 0;

	if (told > s->largest && told < s->smallest)
		return told;
	if (told > 0 && told == s->largest && told + 1 < s->smallest)
		return told + 1;
	return s->largest + (s->smallest - s->largest) / 2;
}

/* PMTUDISC: IP_PMTUDISC_PROBE sets DF and believes no MTU that was told before; _DONT never
 * sets it. */
static void search(struct path *p, int pmtudisc, struct search *s)
{
	struct sock_conf conf = path_dgram_conf(p);
	bool six = p->udp->sa.sa_family == AF_INET6;
	size_t head = six ? HEAD_6 : HEAD_4, size = six ? LARGEST_6 : LARGEST_4;
	struct path_try try;
	const char *what;
	int fd = sock_open(&conf, p->udp, 0, &what);

	*s = (struct search){.error = fd < 0 ? fd : 0};
	if (fd < 0)
		return;
	if (setsockopt(fd, six ? IPPROTO_IPV6 : IPPROTO_IP,
		       six ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER, &pmtudisc, sizeof(pmtudisc)) < 0)
		s->error = -errno;
	while (s->error == 0) {
		path_datagram(p, fd, p->udp, size, TRIES, path_wait(p), &try);
		if (try.answer == PATH_ERROR) {
			s->error = try.error;
			break;
		}
		note(s, size, &try);
		if (s->smallest == 0 || s->largest + 1 >= s->smallest)
			break;
		size = guess(s, &try, head);
	}
	close(fd);
}

static void details(const struct search *s, size_t head, struct verdict *v)
{
	json_object_set_new(v->details, "largest", json_integer((json_int_t)s->largest));
	json_object_set_new(v->details, "packet",
			    json_integer((json_int_t)s->largest + (json_int_t)head));
	json_object_set_new(v->details, "cut_at",
			    s->cut ? json_integer((json_int_t)s->cut) : json_null());
	json_object_set_new(v->details, "icmp_mtu", s->mtu ? json_integer(s->mtu) : json_null());
	json_object_set_new(v->details, "local_limit", json_boolean(s->local));
}

static size_t head_of(const struct path *p)
{
	return p->udp->sa.sa_family == AF_INET6 ? HEAD_6 : HEAD_4;
}

void path_check_mtu(struct path *p, struct verdict *v)
{
	size_t head = head_of(p), packet;
	struct search s;

	search(p, IP_PMTUDISC_PROBE, &s);
	packet = s.largest + head;
	details(&s, head, v);
	if (s.error != 0) {
		path_say(v, PATH_UNKNOWN, "%s", strerror(-s.error));
	} else if (s.smallest == 1) {
		path_say(v, PATH_BROKEN, "no datagram comes back any more, of any size");
	} else if (s.smallest == 0) {
		path_say(v, PATH_OK, "with DF %zu bytes come back, the most there can be",
			 s.largest);
	} else if (s.cut > 0) {
		path_say(v, PATH_DEGRADED,
			 "with DF up to %zu bytes come back whole; the server cuts its answers at "
			 "%zu",
			 s.largest, s.cut);
	} else if (s.local) {
		path_say(v, PATH_OK,
			 "with DF %zu bytes come back (packet %zu): all that this host's interface "
			 "takes",
			 s.largest, packet);
	} else if (s.mtu > 0) {
		path_say(v, PATH_OK, "with DF %zu bytes come back (packet %zu); more: %s, MTU %u",
			 s.largest, packet, s.complaint, s.mtu);
	} else {
		path_say(v, PATH_BROKEN,
			 "with DF %zu bytes come back (packet %zu); more vanish and no ICMP says "
			 "so: a black hole",
			 s.largest, packet);
		v->code = EXITS_DAMAGED;
	}
}

void path_check_fragments(struct path *p, struct verdict *v)
{
	size_t head = head_of(p);
	struct search s;

	search(p, IP_PMTUDISC_DONT, &s);
	details(&s, head, v);
	if (s.error != 0)
		path_say(v, PATH_UNKNOWN, "%s", strerror(-s.error));
	else if (s.smallest == 1)
		path_say(v, PATH_BROKEN, "no datagram comes back any more, of any size");
	else if (s.smallest == 0)
		path_say(v, PATH_OK, "without DF %zu bytes come back, the most there can be",
			 s.largest);
	else if (s.cut > 0)
		path_say(v, PATH_DEGRADED,
			 "without DF up to %zu bytes come back whole; the server cuts its answers "
			 "at %zu",
			 s.largest, s.cut);
	else if (s.largest + head <= 1500)
		path_say(v, PATH_BROKEN,
			 "without DF %zu bytes come back (packet %zu), nothing larger: fragments "
			 "do not pass",
			 s.largest, s.largest + head);
	else
		path_say(v, PATH_DEGRADED, "without DF %zu bytes come back, nothing larger",
			 s.largest);
}
