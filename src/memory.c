/* SPDX-License-Identifier: ISC */
#include "memory.h"

#include <stdlib.h>

bool memory_for(size_t n)
{
	void *volatile p = malloc(n); /* volatile: or the compiler does without both calls */

	free(p);
	return p != NULL;
}
