/* SPDX-License-Identifier: ISC */
/* loaded.h - configurations for tests, from a temporary file or the command line. */
#ifndef TEST_LOADED_H
#define TEST_LOADED_H

#include "conf.h"

/* The temporary file; set_up() makes it. */
extern char path[];

/* Load what must load. */
struct conf *load(const struct conf_source *source);
struct conf *load_text(const char *text);

/* Write TEXT into the temporary file. */
void write_file(const char *text);

/* conf_dump() as a string that the caller frees. */
char *dump(const struct conf *c);

/* The value of socket option NAME that S asks for. */
const struct sockopt_value *option(const struct service_conf *s, const char *name);

/* cmocka's, for a group of tests. */
int set_up(void **state);
int tear_down(void **state);

#endif
