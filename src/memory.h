/* SPDX-License-Identifier: ISC */
/* memory.h - for libraries that do not look at what malloc(3) gives them: see first. */
#ifndef ECHOD_MEMORY_H
#define ECHOD_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/* Could one have N bytes now? */
bool memory_for(size_t n);

#endif
