/* SPDX-License-Identifier: ISC */
/* crew_memory.h - what the processes of a crew share: counters, slots, limits. */
#ifndef ECHOD_CREW_MEMORY_H
#define ECHOD_CREW_MEMORY_H

struct acl;
struct crew;

/* Executors' blocks of counters in each worker of C. */
unsigned crew_memory_blocks(const struct crew *c);

/* Map the memory of C and lay it out.  Returns 0 or -errno. */
int crew_memory_map(struct crew *c);

/* Give it back, if there is any. */
void crew_memory_unmap(struct crew *c);

/* Mark the connections of C that ACCESS does not allow, so that their executors close them. */
void crew_memory_bar(struct crew *c, const struct acl *access);

#endif
