/* SPDX-License-Identifier: ISC */
/* interrupt.h - Ctrl-C and SIGTERM as a wish to end in order, with a summary. */
#ifndef ECHOC_INTERRUPT_H
#define ECHOC_INTERRUPT_H

#include <stdbool.h>

/* From now on SIGINT and SIGTERM are held back but in moment_poll(), which returns -EINTR
 * for them; a second one ends the program. */
void interrupt_catch(void);

/* Has one come? */
bool interrupt_seen(void);

#endif
