/* SPDX-License-Identifier: ISC */
/* trial.h - can the workers of a service do what its configuration wants?  They have other
 * rights and limits than the supervisor. */
#ifndef ECHOD_TRIAL_H
#define ECHOD_TRIAL_H

#include <stdbool.h>

struct conf;
struct identity;
struct problems;
struct service_conf;

/* Can workers of SERVICE, with the limits of CONF and the rights of IDENTITY, run on its
 * processors and use its engine?  With RELOAD others serve by now.  Nothing stays changed.
 * Returns 0, or -errno and a line in *PROBLEMS. */
int trial_of(const struct conf *conf, const struct service_conf *service,
	     const struct identity *identity, bool reload, struct problems *problems);

#endif
