/* SPDX-License-Identifier: ISC */
/* A client is in one of four states: it is being read; a reply is being sent; a listing goes
 * on piece by piece; it waits for a reload.  Only in the first is it listened to. */
#include "control_client.h"

#include "conf.h"
#include "reload.h"
#include "supervisor.h"
#include "timer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
	REQUEST_MOST = 64 << 10, /* bytes */
	REPLY_MOST = 4 << 20,    /* bytes; the state of a thousand services fits */
	PIECE = 512,             /* connections in one reply of many */
	SILENT = 30000           /* ms without a whole request or a reply that was taken */
};

struct control_client *control_client_new(struct supervisor *s, int fd)
{
	struct control_client *k = calloc(1, sizeof(*k));
	struct ucred who = {.uid = (uid_t)-1};
	socklen_t len = sizeof(who);

	if (!k)
		return NULL;
	k->s = s;
	k->fd = fd;
	k->in.max = REQUEST_MOST;
	k->out.max = REPLY_MOST;
	k->active = timer_now();
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) == 0)
		k->trusted = who.uid == 0 || who.uid == geteuid();
	return k;
}

void control_client_free(struct control_client *k)
{
	if (k->reloading)
		reload_forget(k->s, k);
	sd_event_source_disable_unref(k->source);
	control_list_end(&k->listing);
	varlink_clear_in(&k->in);
	varlink_clear_out(&k->out);
	close(k->fd);
	free(k);
}

bool control_client_silent(const struct control_client *k, uint64_t now)
{
	return !k->reloading && now > k->active && now - k->active >= SILENT;
}

/* What to wait for.  A socket that takes bytes wakes us at once: so it does when there is
 * something to send, and when there is more to do. */
static void watch(struct control_client *k)
{
	bool busy = k->broken || k->listing.going || k->out.end > 0 || varlink_pending(&k->in);
	uint32_t events = EPOLLIN;

	if (k->reloading)
		events = 0;
	else if (busy)
		events = EPOLLOUT;
	if (sd_event_source_set_io_events(k->source, events) < 0)
		k->broken = true;
}

/* Queue an answer; the parameters become ours. */
static void reply(struct control_client *k, const char *error, json_t *parameters, bool continues)
{
	json_t *message = NULL;
	int r;

	if (parameters)
		message = error ? json_pack("{s:s s:O}", "error", error, "parameters", parameters)
				: json_pack("{s:O}", "parameters", parameters);
	if (message && continues)
		json_object_set_new(message, "continues", json_true());
	r = varlink_queue(&k->out, message);
	json_decref(message);
	json_decref(parameters);
	if (r == -EMSGSIZE && !error)
		reply(k, "org.echod.Control.TooLarge", json_object(), false);
	else if (r < 0)
		k->broken = true;
}

/* reload_done: the verdict. */
static void on_reloaded(void *arg, const struct problems *problems)
{
	struct control_client *k = arg;
	json_t *lines;

	k->reloading = false;
	k->active = timer_now();
	if (!problems) {
		reply(k, NULL, json_object(), false);
	} else {
		lines = json_array();
		for (size_t i = 0; i < problems->n; i++)
			json_array_append_new(lines, varlink_text(problems->line[i]));
		reply(k, "org.echod.Control.ReloadFailed", json_pack("{s:o}", "problems", lines),
		      false);
	}
	if (varlink_send(&k->out, k->fd) == -EPIPE)
		k->broken = true;
	watch(k);
}

static void reload(struct control_client *k, bool oneway)
{
	k->reloading = !oneway;
	if (reload_request(k->s, oneway ? NULL : on_reloaded, k) < 0) {
		k->reloading = false;
		k->broken = true;
	}
}

/* Answer the request MESSAGE.  Returns false if it is none. */
static bool answer(struct control_client *k, json_t *message)
{
	const char *method = json_string_value(json_object_get(message, "method"));
	json_t *parameters = json_object_get(message, "parameters");
	bool oneway = json_is_true(json_object_get(message, "oneway"));
	struct control_call call = {
		.s = k->s,
		.parameters = parameters,
		.trusted = k->trusted,
		.more = json_is_true(json_object_get(message, "more")),
		.now = timer_now(),
		.listing = &k->listing,
	};
	enum control_next next;

	if (!method || (parameters && !json_is_object(parameters) && !json_is_null(parameters)))
		return false;
	next = control_call(&call, method);
	if (next == CONTROL_RELOAD)
		reload(k, oneway);
	else if (next == CONTROL_LIST && oneway)
		control_list_end(&k->listing);
	else if (next != CONTROL_LIST && oneway)
		json_decref(call.reply);
	else if (next != CONTROL_LIST)
		reply(k, call.error, call.reply, false);
	return true;
}

/* The next piece of the list; one that is empty is sent only if it is the last. */
static void send_piece(struct control_client *k)
{
	json_t *piece = control_list_next(&k->listing, k->s, PIECE, timer_now());
	bool going = piece && k->listing.going;

	if (!going)
		control_list_end(&k->listing);
	if (going && json_array_size(piece) == 0)
		json_decref(piece);
	else
		reply(k, NULL, json_pack("{s:o s:b}", "connections", piece, "truncated", false),
		      going);
}

/* Take the next request, or receive; one at a time, for the sake of everybody else. */
static void hear(struct control_client *k)
{
	json_t *message;
	ssize_t n;
	int r = varlink_next(&k->in, &message);

	if (r > 0) {
		k->active = timer_now();
		k->broken = !answer(k, message);
		json_decref(message);
		return;
	}
	k->broken = r < 0;
	if (r < 0 || k->ended)
		return;
	n = varlink_receive(&k->in, k->fd);
	k->ended = n == 0;
	k->broken = n < 0 && n != -EAGAIN;
}

bool control_client_serve(struct control_client *k, uint32_t events)
{
	int r = 0;

	/* It is gone for good, and with it whom an answer is for. */
	if (events & (EPOLLHUP | EPOLLERR) && (k->reloading || k->listing.going || k->out.end > 0))
		return false;
	if (k->out.end > 0) {
		r = varlink_send(&k->out, k->fd);
		if (r == 0)
			k->active = timer_now();
	} else if (k->listing.going) {
		send_piece(k);
	} else if (!k->reloading) {
		hear(k);
	}
	if (k->broken || (r < 0 && r != -EAGAIN))
		return false;
	watch(k);
	return !k->broken && !(k->ended && !k->reloading && !k->listing.going && k->out.end == 0 &&
			       !varlink_pending(&k->in));
}
