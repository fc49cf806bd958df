/* SPDX-License-Identifier: ISC */
/* The needs, a row each; and which failure tells of which. */
#include "needs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

const struct need_row needs[N_NEEDS] = {
	[NEEDS_NOTHING] = {.what = ""},
	[NEEDS_NET_ADMIN] = {.what = "needs CAP_NET_ADMIN", .dropin = "net-admin.conf"},
	[NEEDS_BIND_SERVICE] = {.what = "a port below 1024 needs CAP_NET_BIND_SERVICE",
				.unit = "echod.service has it, without socket-activated.conf"},
	[NEEDS_SCHEDULING] = {.what = "needs leave to change scheduling",
			      .dropin = "scheduling.conf"},
	[NEEDS_ROOT] = {.what = "needs a start as root",
			.unit = "echod.service has User= and Group= for that"},
	[NEEDS_WRITABLE_PATH] = {.what = "needs a directory that echod may write",
				 .unit = "in echod.service that is /run/echod, any other takes a "
					 "drop-in with ReadWritePaths="},
	[NEEDS_NETWORK] = {.what = "needs a network",
			   .unit = "with the drop-in socket-activated.conf echod.service has none "
				   "but what activation = \"NAME\" takes"},
};

/* Failures that tell of a need, beside those of options. */
static const struct failure {
	const char *step;
	int error;
	sa_family_t family; /* AF_UNSPEC: IPv4 and IPv6 */
	enum need need;
} failures[] = {
	{"bind", EACCES, AF_UNSPEC, NEEDS_BIND_SERVICE},
	{"bind", EACCES, AF_UNIX, NEEDS_WRITABLE_PATH},
	{"bind", EROFS, AF_UNIX, NEEDS_WRITABLE_PATH},
	{"bind", EPERM, AF_UNIX, NEEDS_WRITABLE_PATH},
	{"socket", EAFNOSUPPORT, AF_UNSPEC, NEEDS_NETWORK},
};

const char *need_format(enum need need, char buf[NEED_TEXT_MAX])
{
	const struct need_row *row = &needs[need];

	if (row->dropin)
		snprintf(buf, NEED_TEXT_MAX, "%s; in echod.service the drop-in %s gives it",
			 row->what, row->dropin);
	else
		snprintf(buf, NEED_TEXT_MAX, "%s%s%s", row->what, row->unit ? "; " : "",
			 row->unit ? row->unit : "");
	return buf;
}

enum need need_of_failure(const char *step, enum need option, int error, sa_family_t family)
{
	for (size_t i = 0; i < sizeof(failures) / sizeof(failures[0]); i++) {
		const struct failure *f = &failures[i];

		if (strcmp(f->step, step) == 0 && f->error == error &&
		    (f->family == family || (f->family == AF_UNSPEC && family != AF_UNIX)))
			return f->need;
	}
	return error == EPERM || error == EACCES ? option : NEEDS_NOTHING;
}
