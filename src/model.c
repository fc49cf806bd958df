/* SPDX-License-Identifier: ISC */
/* The list of models.  To add one: a file model_NAME.c that ends in its row, a line in
 * models.h and one here. */
#include "model.h"

#include "models.h"

#include <string.h>

const struct model *const models[] = {
	&model_iterative, &model_fork, &model_thread, &model_prefork, &model_prethread, NULL,
};

const struct model *model_find(const char *name)
{
	for (size_t i = 0; models[i]; i++)
		if (strcmp(models[i]->name, name) == 0)
			return models[i];
	return NULL;
}
