/* SPDX-License-Identifier: ISC */
/* placement.h - on which processors a service runs: its `cpus`. */
#ifndef ECHOD_PLACEMENT_H
#define ECHOD_PLACEMENT_H

struct service_conf;

/* May the caller, and so its children, run on all of SERVICE's cpus?  Returns 0; or -errno and
 * in *CPU the first where it may not: -EINVAL, it is not there or not in our control group;
 * -EPERM, a filter of system calls refuses to choose at all.  Nothing stays changed. */
int placement_try(const struct service_conf *service, unsigned *cpu);

/* The calling thread, executor I of SERVICE from 0, runs on its processor from now on: the
 * I-th of cpus, round robin.  A failure is logged, and changes nothing else. */
void placement_pin(const struct service_conf *service, unsigned i);

#endif
