/* SPDX-License-Identifier: ISC */
/* echoctl reload: the daemon reads its configuration anew, and this ends when the verdict is
 * there.  As ExecReload= of the unit it makes systemctl reload honest. */
#include "ctl.h"
#include "session.h"

static enum ctl_exit run(const struct ctl *ctl)
{
	json_t *got = NULL;
	enum ctl_exit code = session_ask(ctl, "Reload", json_object(), &got);

	if (code == CTL_OK && ctl->json)
		ctl_print_json(got, false);
	json_decref(got);
	return code;
}

const struct ctl_command cmd_reload = {
	.name = "reload",
	.text = "read the configuration anew; wait until it serves",
	.timeout = 60000,
	.run = run,
};
