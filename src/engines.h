/* SPDX-License-Identifier: ISC */
/* engines.h - the rows of engines[], each defined at the end of its own file. */
#ifndef ECHOD_ENGINES_H
#define ECHOD_ENGINES_H

#include "engine.h"

extern const struct engine engine_blocking;
extern const struct engine engine_epoll;
extern const struct engine engine_uring;

#endif
