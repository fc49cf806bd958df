/* SPDX-License-Identifier: ISC */
/* The daemon may be stopped, or somebody else may hold its socket: every wait has an end. */
#include "session.h"

#include "log.h"
#include "text.h"
#include "timer.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

enum { REPLY_MOST = 16 << 20 /* bytes: more than the daemon sends */ };

static const char interface[] = "org.echod.Control.";

/* Where the daemon's socket is.  Returns the length of the path. */
static int find_path(const struct ctl *ctl, char *buf, size_t size)
{
	const char *directory = getenv("RUNTIME_DIRECTORY");

	if (ctl->socket)
		return snprintf(buf, size, "%s", ctl->socket);
	if (ctl->instance)
		return snprintf(buf, size, "/run/echod-%s/control", ctl->instance);
	if (directory && directory[0])
		return snprintf(buf, size, "%.*s/control", (int)strcspn(directory, ":"), directory);
	return snprintf(buf, size, "/run/echod/control");
}

static enum ctl_exit cannot_connect(const struct session *s, int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
	case ECONNREFUSED:
		return ctl_say(CTL_UNAVAILABLE, "%s: no echod listens there (%s)", s->path,
			       strerror(error));
	case EACCES:
	case EPERM:
		return ctl_say(CTL_PERMISSION, "%s: %s", s->path, strerror(error));
	case EAGAIN:
		return ctl_say(CTL_TIMEOUT, "%s: the daemon takes no connection", s->path);
	default:
		return ctl_say(CTL_SYSTEM, "%s: %s", s->path, strerror(error));
	}
}

/* connect(2) to a UNIX socket waits while its backlog is full, for as long as SO_SNDTIMEO. */
static int join(struct session *s)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	struct timeval limit = {.tv_sec = s->ctl->timeout / 1000,
				.tv_usec = s->ctl->timeout % 1000 * 1000};
	socklen_t len = sizeof(to);

	strcpy(to.sun_path, s->path); /* fits: session_open() has looked */
	if (to.sun_path[0] == '@') {  /* a name of the abstract name space */
		to.sun_path[0] = '\0';
		len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(s->path));
	}
	s->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->fd < 0 || setsockopt(s->fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ||
	    connect(s->fd, (struct sockaddr *)&to, len) < 0)
		return errno;
	return 0;
}

enum ctl_exit session_open(struct session *s, const struct ctl *ctl)
{
	int error;

	*s = (struct session){.ctl = ctl, .fd = -1, .in = {.max = REPLY_MOST}};
	if (find_path(ctl, s->path, sizeof(s->path)) >=
	    (int)sizeof(((struct sockaddr_un *)0)->sun_path))
		return ctl_say(CTL_USAGE, "the path of the socket is longer than 107 bytes");
	error = join(s);
	if (error == 0)
		return CTL_OK;
	session_close(s);
	return cannot_connect(s, error);
}

void session_close(struct session *s)
{
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
	varlink_clear_in(&s->in);
}

static enum ctl_exit gone(const struct session *s, int error)
{
	return ctl_say(CTL_PROTOCOL, "%s: the daemon closed the connection%s%s", s->path,
		       error ? ": " : "", error ? strerror(error) : "");
}

enum ctl_exit session_send(struct session *s, const char *method, json_t *parameters, bool more)
{
	struct varlink_out out = {.max = REPLY_MOST};
	char name[64];
	json_t *call;
	int r;

	snprintf(name, sizeof(name), "%s%s", interface, method);
	call = json_pack("{s:s s:o}", "method", name, "parameters", parameters);
	if (call && more)
		json_object_set_new(call, "more", json_true());
	s->deadline = timer_now() + (uint64_t)s->ctl->timeout;
	r = varlink_queue(&out, call);
	json_decref(call);
	if (r == 0)
		r = varlink_send(&out, s->fd); /* a request fits into any socket's buffer */
	varlink_clear_out(&out);
	if (r == -ENOMEM)
		return ctl_say(CTL_SYSTEM, "out of memory");
	return r < 0 ? gone(s, -r) : CTL_OK;
}

/* The next message, within the time. */
static enum ctl_exit receive(struct session *s, json_t **message)
{
	int r;

	while ((r = varlink_next(&s->in, message)) == 0) {
		struct pollfd p = {.fd = s->fd, .events = POLLIN};
		uint64_t now = timer_now();
		ssize_t n;

		if (now >= s->deadline)
			return ctl_say(CTL_TIMEOUT, "%s: no answer within %g s", s->path,
				       (double)s->ctl->timeout / 1000);
		if (poll(&p, 1, (int)(s->deadline - now)) <= 0)
			continue;
		n = varlink_receive(&s->in, s->fd);
		if (n == 0 || (n < 0 && n != -EAGAIN))
			return gone(s, (int)-n);
	}
	return r < 0 ? ctl_say(CTL_PROTOCOL, "%s: that is not echod: no JSON object", s->path)
		     : CTL_OK;
}

/* What the daemon says instead of an answer. */
static enum ctl_exit refused(const struct session *s, const char *error, const json_t *parameters)
{
	const json_t *problems = json_object_get(parameters, "problems"), *line;
	const json_t *service = json_object_get(parameters, "service");
	size_t i;

	json_array_foreach(problems, i, line)
	{
		fputs(log_prefix(LOG_ERR), stderr);
		text_put(stderr, json_string_value(line));
		fputc('\n', stderr);
	}
	if (strcmp(error, "org.varlink.service.PermissionDenied") == 0)
		return ctl_say(CTL_PERMISSION, "%s is for root and for the user of the daemon",
			       s->ctl->command->name);
	if (strcmp(error, "org.echod.Control.ReloadFailed") == 0)
		return ctl_say(CTL_REFUSED, "the reload failed");
	if (strcmp(error, "org.echod.Control.TooLarge") == 0)
		return ctl_say(CTL_REFUSED, "the answer is too large: ask for one service");
	fputs("echoctl: ", stderr);
	if (json_is_string(service))
		fputs("no service is called ", stderr);
	text_put(stderr, json_is_string(service) ? json_string_value(service) : error);
	fputc('\n', stderr);
	return CTL_REFUSED;
}

enum ctl_exit session_receive(struct session *s, json_t **parameters, bool *continues)
{
	json_t *message = NULL, *got;
	const char *error;
	enum ctl_exit code = receive(s, &message);
	json_t *complaint;

	if (code != CTL_OK)
		return code;
	got = json_object_get(message, "parameters");
	complaint = json_object_get(message, "error");
	error = json_string_value(complaint);
	if (complaint && !error) {
		code = ctl_say(CTL_PROTOCOL, "%s: that is not echod: its error has no name",
			       s->path);
	} else if (error) {
		code = refused(s, error, got);
		if (s->ctl->json)
			ctl_print_json(message, s->ctl->watch);
	} else if (got && !json_is_object(got)) {
		code = ctl_say(CTL_PROTOCOL, "%s: that is not echod: no parameters", s->path);
	} else {
		*parameters = got ? json_incref(got) : json_object();
		if (continues)
			*continues = json_is_true(json_object_get(message, "continues"));
		s->deadline = timer_now() + (uint64_t)s->ctl->timeout;
	}
	json_decref(message);
	return code;
}

enum ctl_exit session_ask(const struct ctl *ctl, const char *method, json_t *parameters,
			  json_t **reply)
{
	struct session s;
	enum ctl_exit code = session_open(&s, ctl);

	if (code != CTL_OK) {
		json_decref(parameters);
		return code;
	}
	code = session_send(&s, method, parameters, false);
	if (code == CTL_OK)
		code = session_receive(&s, reply, NULL);
	session_close(&s);
	return code;
}
