/* SPDX-License-Identifier: ISC */
/* memory.h - that what is freed goes back to the system; and, for libraries that do not look at
 * what malloc(3) gives them, to see first. */
#ifndef ECHOD_MEMORY_H
#define ECHOD_MEMORY_H

#include <stdbool.h>
#include <stddef.h>

/* Call it before anything is allocated that is large.  glibc lets its threshold grow with what is
 * freed (mallopt(3), M_MMAP_THRESHOLD): from the second client on a thread's buffer would come from
 * an arena, and stay there, some of it, when the clients are long gone. */
void memory_begin(void);

/* Could one have N bytes now? */
bool memory_for(size_t n);

#endif
