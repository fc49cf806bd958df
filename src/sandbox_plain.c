/* SPDX-License-Identifier: ISC */
/* What a build calls besides the rows of sandbox_calls.c: nothing.  Its twin is
 * sandbox_instrumented.c. */
#include "sandbox_calls.h"

const struct sandbox_call sandbox_more_calls[] = {{.name = NULL}};
const size_t n_sandbox_more_calls = 0;
const bool sandbox_needs_files = false;
