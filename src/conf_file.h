/* SPDX-License-Identifier: ISC */
/* conf_file.h - a checked text made into a tree; the only place that knows libconfig. */
#ifndef ECHOD_CONF_FILE_H
#define ECHOD_CONF_FILE_H

struct complaints;
struct conf_node;
struct conf_text;

/* The tree of T, a group, whose nodes use T's file names.  NULL with a complaint (C may be
 * NULL) if libconfig does not take what the check took. */
struct conf_node *conf_file_tree(const struct conf_text *t, struct complaints *c);

#endif
