/* SPDX-License-Identifier: ISC */
/* Socket options: values to and from text, to and from the kernel.  The rows are in
 * sockopt_rows.c; no option is named here but for the text of memberships. */
#include "sockopt.h"

#include "size.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

enum { MICROSECONDS = 1000000 };

/* What the kernel is handed for any type. */
union sockopt_raw {
	int number;
	struct timeval time;
	struct linger linger;
	char text[64];
	struct ip_mreqn mreqn;
	struct ipv6_mreq mreq6;
};

int sockopt_find(const char *name)
{
	for (size_t i = 0; i < n_sockopts; i++)
		if (strcmp(sockopts[i].name, name) == 0)
			return (int)i;
	return -ENOENT;
}

static int parse_integer(const char *text, int64_t *out)
{
	char *end;

	errno = 0;
	*out = strtoll(text, &end, 10);
	return errno != 0 || end == text || *end != '\0' ? -EINVAL : 0;
}

static int parse_bool(const char *text, int64_t *out)
{
	*out = strcasecmp(text, "true") == 0;
	return *out || strcasecmp(text, "false") == 0 ? 0 : -EINVAL;
}

static int parse_word(const struct sockopt_row *row, const char *text, int64_t *out)
{
	for (const struct sockopt_word *w = row->words; w->name; w++) {
		if (strcmp(w->name, text) == 0) {
			*out = w->number;
			return 0;
		}
	}
	return -EINVAL;
}

/* "239.1.2.3%eth0" of FAMILY; IFINDEX is 0 where none is named. */
static int parse_membership(const char *text, int family, struct in6_addr *group, int *ifindex)
{
	char host[INET6_ADDRSTRLEN + 1 + IFNAMSIZ];
	char *percent;

	if (strlen(text) >= sizeof(host))
		return -EINVAL;
	strcpy(host, text); /* fits */
	percent = strchr(host, '%');
	*ifindex = 0;
	if (percent) {
		*percent = '\0';
		*ifindex = (int)if_nametoindex(percent + 1);
		if (*ifindex == 0)
			return -ENODEV;
	}
	if (inet_pton(family, host, group) != 1)
		return -EINVAL;
	if (family == AF_INET6)
		return IN6_IS_ADDR_MULTICAST(group) ? 0 : -EINVAL;
	return IN_MULTICAST(ntohl(*(const in_addr_t *)group)) ? 0 : -EINVAL;
}

static int parse_text(const struct sockopt_row *row, const char *text, struct sockopt_value *out)
{
	struct in6_addr group;
	int ifindex;
	size_t max = row->type == OPT_STRING ? (size_t)row->max : sizeof(out->text) - 1;

	if (text[0] == '\0' || strlen(text) > max)
		return -EINVAL;
	/* An interface that is not there yet is no error of the text: setting it will tell. */
	if (row->type == OPT_MEMBERSHIP &&
	    parse_membership(text, row->family, &group, &ifindex) == -EINVAL)
		return -EINVAL;
	strcpy(out->text, text); /* fits */
	return 0;
}

int sockopt_parse(const struct sockopt_row *row, const char *text, struct sockopt_value *out,
		  const char **why)
{
	static char allowed[160]; /* configuration is read by one thread */
	struct sockopt_value v = {.set = true};
	int64_t min = row->min;
	int r;

	if (row->refused) {
		*why = row->refused;
		return -EINVAL;
	}
	switch (row->type) {
	case OPT_BOOL:
		r = parse_bool(text, &v.number);
		break;
	case OPT_SIZE:
		r = size_parse(text, &v.number);
		break;
	case OPT_TIME:
		r = seconds_parse(text, MICROSECONDS, &v.number);
		break;
	case OPT_NAMES:
		r = parse_word(row, text, &v.number);
		break;
	case OPT_STRING:
	case OPT_MEMBERSHIP:
		r = parse_text(row, text, &v);
		break;
	case OPT_LINGER:
		if (strcasecmp(text, "false") == 0) {
			v.number = min = -1;
			r = 0;
			break;
		}
		/* fall through */
	default:
		r = parse_integer(text, &v.number);
	}
	if (row->type == OPT_INT || row->type == OPT_SIZE || row->type == OPT_SECONDS ||
	    row->type == OPT_TIME || row->type == OPT_LINGER)
		if (v.number < min || v.number > row->max)
			r = -EINVAL;
	if (r < 0) {
		*why = sockopt_allowed(row, allowed, sizeof(allowed));
		return -EINVAL;
	}
	*out = v;
	return 0;
}

/* VALUE as the kernel takes it: its length, or -errno. */
static int to_raw(const struct sockopt_row *row, const struct sockopt_value *value,
		  union sockopt_raw *raw)
{
	struct in6_addr group;
	int ifindex, r;

	*raw = (union sockopt_raw){.number = 0};
	switch (row->type) {
	case OPT_TIME:
		raw->time = (struct timeval){.tv_sec = value->number / MICROSECONDS,
					     .tv_usec = value->number % MICROSECONDS};
		return sizeof(raw->time);
	case OPT_LINGER:
		raw->linger = (struct linger){.l_onoff = value->number >= 0};
		raw->linger.l_linger = value->number >= 0 ? (int)value->number : 0;
		return sizeof(raw->linger);
	case OPT_STRING:
		memcpy(raw->text, value->text, sizeof(raw->text));
		return (int)strnlen(raw->text, sizeof(raw->text) - 1) + 1;
	case OPT_MEMBERSHIP:
		r = parse_membership(value->text, row->family, &group, &ifindex);
		if (r < 0)
			return r;
		if (row->family == AF_INET6) {
			raw->mreq6 = (struct ipv6_mreq){.ipv6mr_multiaddr = group,
							.ipv6mr_interface = (unsigned)ifindex};
			return sizeof(raw->mreq6);
		}
		raw->mreqn = (struct ip_mreqn){.imr_ifindex = ifindex};
		memcpy(&raw->mreqn.imr_multiaddr, &group, sizeof(raw->mreqn.imr_multiaddr));
		return sizeof(raw->mreqn);
	default:
		raw->number = (int)(uint32_t)value->number;
		return sizeof(raw->number);
	}
}

int sockopt_set(int fd, const struct sockopt_row *row, const struct sockopt_value *value)
{
	union sockopt_raw raw;
	int len = to_raw(row, value, &raw);

	if (len < 0)
		return len;
	if (setsockopt(fd, row->level, row->option, &raw, (socklen_t)len) < 0)
		return -errno;
	return 0;
}

static void from_raw(const struct sockopt_row *row, union sockopt_raw *raw,
		     struct sockopt_value *out)
{
	switch (row->type) {
	case OPT_BOOL:
		out->number = raw->number != 0;
		break;
	case OPT_TIME:
		out->number = raw->time.tv_sec * (int64_t)MICROSECONDS + raw->time.tv_usec;
		break;
	case OPT_LINGER:
		out->number = raw->linger.l_onoff ? raw->linger.l_linger : -1;
		break;
	case OPT_STRING:
	case OPT_MEMBERSHIP:
		raw->text[sizeof(raw->text) - 1] = '\0';
		memcpy(out->text, raw->text, sizeof(out->text));
		break;
	default:
		/* An unsigned option (SO_MARK, TCP_NOTSENT_LOWAT) fills all 32 bits. */
		out->number = raw->number;
		if (row->max > INT32_MAX)
			out->number = (uint32_t)raw->number;
	}
}

int sockopt_get(int fd, const struct sockopt_row *row, struct sockopt_value *out)
{
	union sockopt_raw raw = {.text = ""};
	int option = row->read_option ? row->read_option : row->option;
	struct sockopt_value none = {.set = true};
	struct sockopt_value any = {.number = row->type == OPT_LINGER ? -1 : 0};
	socklen_t len;
	int size;

	if (row->unreadable)
		return -EOPNOTSUPP;
	size = row->type == OPT_STRING ? (int)sizeof(raw.text) : to_raw(row, &any, &raw);
	len = (socklen_t)size;
	raw = (union sockopt_raw){.text = ""};
	if (getsockopt(fd, row->level, option, &raw, &len) < 0)
		return -errno;
	*out = none;
	from_raw(row, &raw, out);
	return 0;
}

enum sockopt_stage sockopt_stage(const struct sockopt_row *row, enum protocol protocol)
{
	if (!protocols[protocol].stream)
		return AT_SOCKET;
	return row->not_copied & (1u << protocol) ? AT_CONNECTION : row->stage;
}

int sockopt_apply(int fd, const struct sockopt_set *set, enum sockopt_stage stage,
		  enum protocol protocol, int family, const struct sockopt_row **failed)
{
	for (size_t i = 0; i < n_sockopts; i++) {
		const struct sockopt_row *row = &sockopts[i];
		int r;

		if (!set->value[i].set || sockopt_stage(row, protocol) != stage ||
		    !(row->protocols & (1u << protocol)) ||
		    (row->family != 0 && row->family != family))
			continue;
		r = sockopt_set(fd, row, &set->value[i]);
		if (r < 0) {
			*failed = row;
			return r;
		}
	}
	return 0;
}
