/* SPDX-License-Identifier: ISC */
/* engine.h - the engines: how an executor serves.  One row and one file each. */
#ifndef ECHOD_ENGINE_H
#define ECHOD_ENGINE_H

#include <stdbool.h>
#include <stddef.h>

struct client;
struct executor;
struct model;

struct engine {
	const char *name; /* as in the configuration: "epoll" */
	const char *text; /* one phrase for --help and the manual page */
	/* Accept on the executor's listeners and echo until told to stop.  0, or -errno if it
	 * cannot work in this process; ex->refused may say why. */
	int (*serve)(struct executor *ex);
	/* Echo one connected client to its end; it is closed on return.  NULL where the
	 * engine has no such verb. */
	void (*echo)(struct executor *ex, const struct client *client);
	/* Can it work here?  0, or -errno and in TEXT what is refused and why.  NULL: it can. */
	int (*probe)(char *text, size_t size);
	/* What it calls: enum sandbox_part. */
	unsigned calls;
	/* What takes its place if it was not asked for by name and cannot work, or NULL. */
	const struct engine *substitute;
};

enum { ENGINE_TEXT_MAX = 160 };

/* All engines, NULL at the end. */
extern const struct engine *const engines[];

/* The engine called NAME, or NULL. */
const struct engine *engine_find(const char *name);

/* What "auto" means for MODEL: blocking where one connection is echoed (per_client), else what
 * was measured to be best.  It may not work here. */
const struct engine *engine_auto(const struct model *model);

/* Whether ENGINE can work here; if not, TEXT says what is refused and why. */
bool engine_works(const struct engine *engine, char text[ENGINE_TEXT_MAX]);

/* Does the engine have the verb that the model calls? */
bool engine_fits(const struct engine *engine, const struct model *model);

#endif
