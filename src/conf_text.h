/* SPDX-License-Identifier: ISC */
/* conf_text.h - the check of a configuration's text before libconfig sees it. */
#ifndef ECHOD_CONF_TEXT_H
#define ECHOD_CONF_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct complaints;

/* Where a setting or an element was written. */
struct place {
	const char *file; /* belongs to the conf_text */
	unsigned line;    /* 0: no lines */
};

/* One file as it was read. */
struct conf_source_text {
	char *name; /* for people */
	char *data; /* LEN bytes and a NUL */
	size_t len;
	dev_t device; /* of the file, to know it again */
	ino_t inode;
};

/* A text that was found to be right, with its includes in place. */
struct conf_text {
	char *flat; /* what libconfig is given: the same tokens, none that its versions
		     * read differently */
	size_t len, room;
	struct place *place; /* of each setting and element, in the order of the text */
	size_t n_places;
	struct conf_source_text *source; /* every file; the places' names are theirs */
	size_t n_sources;
	size_t bytes; /* of all sources */
};

enum {
	CONF_BYTES_MAX = 1 << 20,  /* of a configuration, includes counted */
	CONF_STRING_MAX = 4096,    /* bytes of one string: libconfig 1.5 grows them quadratically */
	CONF_ELEMENTS_MAX = 65536, /* of one list or array */
	CONF_SETTINGS_MAX = 256,   /* of one group: libconfig compares each with all */
	CONF_DEPTH_MAX = 16,       /* of nesting */
	CONF_INCLUDE_DEPTH = 10,   /* libconfig's own limit */
	CONF_INCLUDES_MAX = 100    /* in all */
};

/* Read and check the file called NAME.  Returns 0, or -EINVAL with one complaint. */
int conf_text_file(struct conf_text *t, const char *name, struct complaints *c);

/* Check DATA (a string), which people know as NAME and which has no lines.  The same, but
 * C may be NULL. */
int conf_text_string(struct conf_text *t, const char *name, const char *data, struct complaints *c);

/* Free what T has; an empty one ({0}) is fine. */
void conf_text_clear(struct conf_text *t);

/* conf_read.c: the regular file PATH into OUT (name not set).  At most LIMIT bytes.
 * Returns 0; or -EINVAL, or -EAGAIN if the system lacks something, with *WHY a phrase, static
 * storage. */
int conf_read(const char *path, size_t limit, struct conf_source_text *out, const char **why);

#endif
