/* SPDX-License-Identifier: ISC */
/* sched_setaffinity(2), which takes a thread, not a process.  The set is large enough for
 * every processor that the configuration can name (CONF_CPU_MAX). */
#include "placement.h"

#include "conf.h"
#include "log.h"
#include "needs.h"

#include <errno.h>
#include <sched.h>

int placement_try(const struct service_conf *service, unsigned *cpu)
{
	cpu_set_t before, all, allowed;
	int r = 0;

	if (service->n_cpus == 0)
		return 0;
	*cpu = service->cpus[0];
	if (sched_getaffinity(0, sizeof(before), &before) < 0)
		return -errno;
	CPU_ZERO(&all);
	for (size_t i = 0; i < service->n_cpus; i++)
		CPU_SET(service->cpus[i], &all);
	/* Those that cannot be had are left out in silence; none at all is EINVAL. */
	if (sched_setaffinity(0, sizeof(all), &all) < 0)
		return -errno;
	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		r = -errno;
	for (size_t i = 0; i < service->n_cpus && r == 0; i++) {
		*cpu = service->cpus[i];
		if (!CPU_ISSET(*cpu, &allowed))
			r = -EINVAL;
	}
	sched_setaffinity(0, sizeof(before), &before);
	return r;
}

void placement_pin(const struct service_conf *service, unsigned i)
{
	char need[NEED_TEXT_MAX];
	unsigned cpu;
	cpu_set_t one;

	if (service->n_cpus == 0)
		return;
	cpu = service->cpus[i % service->n_cpus];
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one) < 0)
		log_repeated(LOG_WARNING, "service=%s cpus: processor %u: %m (%s)", service->name,
			     cpu, need_format(NEEDS_SCHEDULING, need));
}
