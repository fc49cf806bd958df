/* SPDX-License-Identifier: ISC */
/* models.h - the rows of models[], each defined at the end of its own file. */
#ifndef ECHOD_MODELS_H
#define ECHOD_MODELS_H

#include "model.h"

extern const struct model model_iterative;
extern const struct model model_fork;
extern const struct model model_thread;
extern const struct model model_prefork;
extern const struct model model_prethread;

#endif
