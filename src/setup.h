/* SPDX-License-Identifier: ISC */
/* setup.h - from the configuration in force, or none, to another: all of it or nothing. */
#ifndef ECHOD_SETUP_H
#define ECHOD_SETUP_H

struct conf;
struct problems;
struct supervisor;

/* Put CONF in force: open the listeners that are new, start crews for what is new or
 * changed, then let the old ones drain and close what is no longer named.  On success S
 * owns CONF and the old one is freed.  If anything fails nothing is changed, PROBLEMS has a
 * line that says why, and CONF stays the caller's; returns -errno. */
int setup_apply(struct supervisor *s, struct conf *conf, struct problems *problems);

#endif
