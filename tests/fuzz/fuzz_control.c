/* SPDX-License-Identifier: ISC */
/* What a client of the control socket sends: framed, parsed, called, answered.  The daemon
 * behind it has two services and nobody who serves. */
#include "fuzz.h"

#include "conf.h"
#include "control.h"
#include "control_call.h"
#include "log.h"
#include "supervisor.h"
#include "varlink.h"

#include <errno.h>
#include <sys/socket.h>

enum { MOST = 4096 /* bytes of a message */, FD = 1000 };

/* What has come for the daemon and is not received yet. */
static struct {
	const uint8_t *data;
	size_t left;
} came;

ssize_t __wrap_recv(int fd, void *buf, size_t n, int flags);

ssize_t __wrap_recv(int fd, void *buf, size_t n, int flags)
{
	PROMISE(fd == FD && n > 0 && flags & MSG_DONTWAIT);
	n = n < came.left ? n : came.left;
	if (n == 0) {
		errno = EAGAIN;
		return -1;
	}
	memcpy(buf, came.data, n);
	came.data += n;
	came.left -= n;
	return (ssize_t)n;
}

static struct supervisor supervisor;

static void set_up(void)
{
	static const char *const listen[] = {"tcp:127.0.0.1:7", "udp:127.0.0.1:7", NULL};
	static const struct conf_source source = {.listen = listen};
	struct problems problems = {0};
	sd_event *event = NULL;

	log_set_level(-1);
	supervisor.conf = conf_load(&source, &problems);
	PROMISE(supervisor.conf && sd_event_new(&event) >= 0);
	supervisor.control = control_new(&supervisor, event);
	PROMISE(supervisor.control);
}

/* As control_client.c does it, without a socket to answer by. */
static void call(json_t *message)
{
	struct control_listing listing = {0};
	const char *method = json_string_value(json_object_get(message, "method"));
	json_t *parameters = json_object_get(message, "parameters");
	struct control_call c = {
		.s = &supervisor,
		.parameters = json_is_object(parameters) ? parameters : NULL,
		.trusted = true,
		.more = json_is_true(json_object_get(message, "more")),
		.now = 1000,
		.listing = &listing,
	};
	struct varlink_out out = {.max = 1 << 20};
	enum control_next next;

	if (!method)
		return;
	next = control_call(&c, method);
	PROMISE((next == CONTROL_ERROR) == (c.error != NULL));
	if (next == CONTROL_ANSWER || next == CONTROL_ERROR) {
		PROMISE(json_is_object(c.reply));
		PROMISE(varlink_queue(&out, c.reply) == 0);
	}
	varlink_clear_out(&out);
	json_decref(c.reply);
	control_list_end(&listing);
}

/* Hand over in pieces: the first byte of the input says how large. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct varlink_in in = {.max = MOST};
	size_t piece = size ? 1 + data[0] : 1, at = 1;
	json_t *message;
	int r = 0;

	if (!supervisor.conf)
		set_up();
	came.left = 0;
	while (at < size && r >= 0) {
		size_t n = size - at < piece ? size - at : piece;

		came.data = data + at - came.left;
		came.left += n;
		at += n;
		r = (int)varlink_receive(&in, FD);
		PROMISE(r > 0 || r == -EMSGSIZE || r == -EAGAIN);
		while (r >= 0 && (r = varlink_next(&in, &message)) > 0) {
			call(message);
			json_decref(message);
		}
		PROMISE(in.end <= MOST);
	}
	varlink_clear_in(&in);
	return 0;
}
