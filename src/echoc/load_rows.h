/* SPDX-License-Identifier: ISC */
/* load_rows.h - the options that say what a load is: of `load` and of `compare`. */
#ifndef ECHOC_LOAD_ROWS_H
#define ECHOC_LOAD_ROWS_H

#include "load.h"
#include "options.h"

/* Rows whose base is a struct load_conf. */
extern const struct option_row load_rows[];
extern const size_t n_load_rows;

/* What holds without options. */
struct load_conf load_rows_default(void);

/* What the rows cannot know of each other.  Tells the user; returns OPTIONS_RUN or an exit
 * code.  CONF->to may be set or not: what depends on it is checked if it is. */
int load_rows_check(const struct options *o, struct load_conf *conf);

#endif
