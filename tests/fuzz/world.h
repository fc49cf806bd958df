/* SPDX-License-Identifier: ISC */
/* world.h - what a configuration asks of the machine, answered at once: a target that is linked
 * with world.c and --wrap for these questions makes no ring and no large allocation.  And what
 * the schema's defaults are is read once, not for each input. */
#ifndef ECHOD_FUZZ_WORLD_H
#define ECHOD_FUZZ_WORLD_H

#include <stdbool.h>

/* Engines work from now on, or none does that has to be tried. */
void world_has_rings(bool yes);

#endif
