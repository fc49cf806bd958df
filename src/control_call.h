/* SPDX-License-Identifier: ISC */
/* control_call.h - one call of a method of org.echod.Control, and the methods. */
#ifndef ECHOD_CONTROL_CALL_H
#define ECHOD_CONTROL_CALL_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct crew;
struct supervisor;

/* Where a list of connections stands: crews may go while it is sent piece by piece. */
struct control_listing {
	const struct crew **crews; /* to be listed; each is looked for before it is looked at */
	size_t n, at;
	uint32_t slot; /* next of crews[at] */
	bool going;    /* there may be more */
};

/* What is to happen after a call. */
enum control_next {
	CONTROL_ANSWER, /* send the reply */
	CONTROL_ERROR,  /* send the error */
	CONTROL_RELOAD, /* reload; that will answer */
	CONTROL_LIST    /* send the pieces of the listing */
};

struct control_call {
	struct supervisor *s;
	json_t *parameters; /* an object, or NULL for none; the caller's */
	bool trusted;       /* it is root, or who we are */
	bool more;          /* it takes several replies */
	uint64_t now;       /* ms */
	json_t *reply;      /* parameters of the answer or of the error; the caller's to free */
	const char *error;  /* its full name */
	struct control_listing *listing;
};

/* Call METHOD, a full name. */
enum control_next control_call(struct control_call *call, const char *method);

/* Fail with ERROR, which has one PARAMETER, or none (NULL). */
enum control_next control_fail(struct control_call *call, const char *error, const char *parameter,
			       const char *value);

/* control_interface.c: descriptions in Varlink's language. */
extern const char control_interface[], control_interface_service[];

/* control_report.c: one function for each method that reports; SERVICE alone, unless NULL.
 * Return NULL without memory. */
json_t *control_status(const struct supervisor *s, const char *service, uint64_t now);
json_t *control_stats(const struct supervisor *s, const char *service, uint64_t now);

/* control_options.c */
json_t *control_options(const struct supervisor *s, const char *service);

/* control_connections.c: begin a list of the connections of SERVICE, or of all.  Returns 0 or
 * -ENOMEM. */
int control_list(struct control_listing *l, const struct supervisor *s, const char *service);

/* The next of them, at most LIMIT; looks at no more than so many slots that the supervisor
 * is not kept from its work.  An array, empty if only free slots were seen; NULL without
 * memory.  l->going says whether there may be more. */
json_t *control_list_next(struct control_listing *l, const struct supervisor *s, size_t limit,
			  uint64_t now);

/* Forget the list. */
void control_list_end(struct control_listing *l);

#endif
