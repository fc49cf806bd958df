# SPDX-License-Identifier: ISC
"""Run echoctl."""

import os
import subprocess

from echoc import Result
from harness import ECHOD, SLOW, WRAPPER

ECHOCTL = os.path.abspath(os.environ.get("ECHOCTL", os.path.join(os.path.dirname(ECHOD),
                                                                 "echoctl")))
(OK, REFUSED, USAGE, UNAVAILABLE, SYSTEM, OUTPUT, TIMEOUT, PROTOCOL, PERMISSION, CONFIG) = (
    0, 1, 64, 69, 71, 74, 75, 76, 77, 78)


def echoctl(*words, prefix=(), env=None, cwd=None, **options):
    """Run `echoctl WORDS...` to its end."""
    options.setdefault("stdout", subprocess.PIPE)
    environment = {k: v for k, v in os.environ.items() if k != "RUNTIME_DIRECTORY"}
    done = subprocess.run([*prefix, *WRAPPER, ECHOCTL, *map(str, words)],
                          stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=cwd,
                          env={**environment, "TZ": "UTC", **(env or {})},
                          timeout=120 * SLOW, check=False, **options)
    done.stdout = done.stdout or b""
    return Result(done)
