/* SPDX-License-Identifier: ISC */
/* conf_override.h - what the command line puts into the tree: -o and --listen. */
#ifndef ECHOD_CONF_OVERRIDE_H
#define ECHOD_CONF_OVERRIDE_H

struct complaints;
struct conf_node;
struct conf_source;
struct conf_text;

/* TEXT as a value: what it is in the configuration's language, else a string of itself.
 * NULL when out of memory. */
struct conf_node *conf_override_value(const char *text);

/* Put "PATH=VALUE" into the tree ROOT, or complain. */
void conf_override(struct conf_node *root, const char *text, struct complaints *c);

/* conf_listen.c: the text of a configuration with the services of SOURCE's --listen and
 * what goes with them, allocated; or NULL with a complaint. */
char *conf_listen_text(const struct conf_source *source, struct complaints *c);

#endif
