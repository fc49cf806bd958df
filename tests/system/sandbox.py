# SPDX-License-Identifier: ISC
"""How much a unit may do."""

import re


def exposure(machine, figure, unit="echod.service"):
    """What systemd-analyze security says of the running unit."""
    out = machine.run("systemd-analyze", "security", "--no-pager", unit).stdout
    score = float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", out)[1])
    figure(f"exposure of {unit}: {score}")
    return score
