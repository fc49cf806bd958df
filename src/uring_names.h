/* SPDX-License-Identifier: ISC */
/* uring_names.h - liburing, and the names of io_uring that its oldest release which we take
 * (2.3) does not know.  A kernel that does not know them either does not report them. */
#ifndef ECHOD_URING_NAMES_H
#define ECHOD_URING_NAMES_H

#include <liburing.h>

#ifndef IORING_FEAT_RECVSEND_BUNDLE
# define IORING_FEAT_RECVSEND_BUNDLE (1U << 14) /* Linux 6.10 */
#endif

#endif
