/* SPDX-License-Identifier: ISC */
/* compare_models.h - an echod of our own in every model and engine, on loopback. */
#ifndef ECHOC_COMPARE_MODELS_H
#define ECHOC_COMPARE_MODELS_H

#include "compare.h"

#include <stdint.h>

struct compare_models {
	const char *echod;     /* the program */
	struct load_conf load; /* without an address */
	int64_t workers;       /* of prefork and prethread; 0: what the load needs */
};

/* Where echod is: PATH, or beside this program, or in the path.  NULL if it is nowhere; else
 * BUF or PATH. */
const char *compare_models_find(const char *path, char *buf, size_t size);

/* Add a contender to C for each pair that can serve the load, started and ready.  One that echod
 * refuses here is left out, and the user told why.  Whatever it returns, compare_models_stop() is
 * to be called.  Returns 0, or -errno after telling the user. */
int compare_models_start(const struct compare_models *m, struct comparison *c);

/* End all that were started: TERM, and KILL for who does not go. */
void compare_models_stop(struct comparison *c);

#endif
