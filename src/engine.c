/* SPDX-License-Identifier: ISC */
/* The list of engines.  To add one: a file engine_NAME.c that ends in its row, a line in
 * engines.h and one here. */
#include "engine.h"

#include "engines.h"
#include "model.h"

#include <stddef.h>
#include <string.h>

const struct engine *const engines[] = {&engine_blocking, &engine_epoll, &engine_uring, NULL};

const struct engine *engine_find(const char *name)
{
	for (size_t i = 0; engines[i]; i++)
		if (strcmp(engines[i]->name, name) == 0)
			return engines[i];
	return NULL;
}

/* A ring saves a stream its two system calls for each echo.  Datagrams are received in batches in
 * any case; it makes the wait for them cheaper.  bench/README.md has the figures. */
const struct engine *engine_auto(const struct model *model)
{
	return model->per_client ? &engine_blocking : &engine_uring;
}

bool engine_works(const struct engine *engine, char text[ENGINE_TEXT_MAX])
{
	return !engine->probe || engine->probe(text, ENGINE_TEXT_MAX) == 0;
}

bool engine_fits(const struct engine *engine, const struct model *model)
{
	return !model->per_client || engine->echo;
}
