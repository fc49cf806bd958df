# SPDX-License-Identifier: ISC
"""What /proc says of the daemon's processes."""

import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def stat(pid):
    """The fields of /proc/PID/stat from the state on, or None if there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text[text.rindex(")") + 2:].split()


def state(pid):
    """One letter as in ps(1), or "" for no process."""
    fields = stat(pid)
    return fields[0] if fields else ""


def parents():
    """{pid: parent's pid} of every process."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = stat(name)
            if fields:
                found[int(name)] = int(fields[1])
    return found


def descendants(pid):
    """Every process below PID, nearest first."""
    below = {}
    for child, parent in parents().items():
        below.setdefault(parent, []).append(child)
    found = list(below.get(pid, []))
    for child in found:
        found.extend(below.get(child, []))
    return found


def session(sid):
    """Every process of session SID that has not ended; init may be slow to reap orphans."""
    found = []
    for pid in parents():
        fields = stat(pid)
        if fields and int(fields[3]) == sid and fields[0] != "Z":
            found.append(pid)
    return found


def title(pid):
    """The command line that ps(1) shows."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def descriptors(pid):
    """{number: what it is} of the open descriptors; empty for a process that is gone."""
    found = {}
    try:
        names = os.listdir(f"/proc/{pid}/fd")
    except (FileNotFoundError, ProcessLookupError):
        return found
    for name in names:
        try:
            found[int(name)] = os.readlink(f"/proc/{pid}/fd/{name}")
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def send(number, *pids):
    """Send a signal to processes that may be gone already."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


def cpu_seconds(pids):
    """User and system time that PIDS have used so far."""
    ticks = 0
    for pid in pids:
        fields = stat(pid)
        if fields:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS


def pss_kib(pid):
    """Memory of PID, KiB; of what it shares with others its share."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(int(x.split()[1]) for x in text.splitlines() if x.startswith("Pss:"))


def private_kib(pids):
    """Memory that PIDS do not share with others, KiB: what holding data costs."""
    total = 0
    for pid in pids:
        try:
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        for line in text.splitlines():
            if line.startswith(("Private_Clean:", "Private_Dirty:")):
                total += int(line.split()[1])
    return total


def threads(pid):
    """Number of threads."""
    fields = stat(pid)
    return int(fields[17]) if fields else 0
