# SPDX-License-Identifier: ISC
"""A booted container: systemd as process 1, a network of its own, and a way to run commands in
it.

systemd-nspawn runs without a registration, in control groups that we make (two containers in
one group would take each other for theirs), as our child, and dies with us.  Commands enter by
nsenter(1), from outside of the container's control groups, so they work when everything inside
is stopped.
"""

import ctypes
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from contextlib import contextmanager
from pathlib import Path

from harness import wait_for

CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None, use_errno=True)

ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root",
               "TERM": "dumb", "SYSTEMD_PAGER": "cat", "SYSTEMD_COLORS": "0",
               "DEBIAN_FRONTEND": "noninteractive"}
CGROUPS = Path("/sys/fs/cgroup")
OUR_MISTAKE = re.compile(r"(?i)invalid|unrecognized option|failed to parse|usage")
numbers = itertools.count(1)
token = f"echod-{os.getpid()}"  # in the name of everything that we make; conftest.py sets it


class NoBoot(Exception):
    """The container did not come so far that commands can be run in it."""


def own_groups():
    """The control groups that this process is in and systemd needs one of its own in: that of
    version 2, and systemd's in version 1."""
    groups = {}
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        groups[controllers] = path.lstrip("/")
    found = []
    if (CGROUPS / "cgroup.procs").exists():
        return [CGROUPS / groups.get("", "")]
    for place, controllers in (("unified", ""), ("systemd", "name=systemd")):
        if controllers in groups and (CGROUPS / place / "cgroup.procs").exists():
            found.append(CGROUPS / place / groups[controllers])
    return found


def remove_group(group):
    """Remove control group GROUP and those below; processes in them have ended."""
    for path, _, _ in os.walk(group, topdown=False):
        try:
            os.rmdir(path)
        except OSError:
            pass


def sequence(cursor):
    """The number of a journal's record, from its cursor."""
    return next(int(w[2:], 16) for w in cursor.split(";") if w.startswith("i="))


def children(pid):
    """Process ids of the children of PID's main thread."""
    try:
        return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def command_line(pid):
    """The command line (or title) of process PID, "" if it is gone."""
    try:
        text = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return text.rstrip(b"\0").replace(b"\0", b" ").decode(errors="backslashreplace").rstrip()


class Machine:
    """A container that boots ROOT: on an overlay that is gone with it, or with KEEP on ROOT
    itself."""

    def __init__(self, root, keep=False):
        self.root = root
        self.keep = keep
        self.name = f"{token}-{next(numbers)}"
        self.log_file = root.parent / f"{self.name}.log"
        self.process = None
        self.init = 0  # process 1 of the container, as the host sees it
        self.groups = []

    # --- life

    def enter_groups(self):
        """In the child, before nspawn: into groups of its own; never survive the test."""
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        for group in self.groups:
            (group / "cgroup.procs").write_text("0")

    def spawn(self):
        assert re.fullmatch("[a-z0-9][a-z0-9-]{0,62}", self.name), self.name
        for parent in own_groups():
            group = parent / self.name
            group.mkdir()
            self.groups.append(group)
        words = ["systemd-nspawn", "--quiet", f"--directory={self.root}", "--boot",
                 "--private-network", "--register=no", "--keep-unit",
                 f"--machine={self.name}", "--link-journal=no"]
        if not self.keep:
            words.append("--volatile=overlay")
        with open(self.log_file, "wb") as log:
            self.process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=dict(ENVIRONMENT, SYSTEMD_NSPAWN_UNIFIED_HIERARCHY="1"),
                start_new_session=True, preexec_fn=self.enter_groups)

    def start(self, timeout=60):
        """Boot until every job of the boot is done."""
        try:
            self.spawn()
        except OSError as e:
            raise NoBoot(f"systemd-nspawn: {e}") from e
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self.process.poll() is not None:
                assert not OUR_MISTAKE.search(self.log()), self.log()
                raise NoBoot(f"systemd-nspawn: exit code {self.process.returncode}\n"
                             f"{self.log()[-3000:]}")
            self.init = next(iter(children(self.process.pid)), 0)
            if self.init and self.booted(end - time.monotonic()):
                return self
            time.sleep(0.05)
        raise NoBoot(f"no running systemd after {timeout} s\n{self.log()[-3000:]}")

    def booted(self, timeout):
        """systemd answers, and all units have started, or failed."""
        try:
            done = self.run("systemctl", "is-system-running", "--wait", check=False,
                            timeout=max(timeout, 1))
        except subprocess.TimeoutExpired:
            return False
        return done.stdout.strip() in ("running", "degraded")

    def poweroff(self, timeout=60):
        """End as an administrator would end it."""
        self.run("systemctl", "poweroff", "--no-block")
        code = self.process.wait(timeout)
        assert code == 0, f"systemd-nspawn: exit code {code}\n{self.log()[-3000:]}"

    def destroy(self):
        """End it at once, whatever state it is in, and remove what we made for it."""
        if self.process:
            if self.init and self.process.poll() is None:
                os.kill(self.init, signal.SIGKILL)  # takes all of its processes with it
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None
        for group in self.groups:
            remove_group(group)
        self.groups = []

    def log(self):
        """What the console and nspawn said."""
        return self.log_file.read_text(errors="backslashreplace")

    # --- commands and files

    def run(self, *words, check=True, timeout=60, stdin="", env=None):
        """Run WORDS inside; with CHECK it must succeed."""
        words = [str(w) for w in words]
        child = subprocess.Popen(
            ["nsenter", "-t", str(self.init), "-a", "--", *words], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            errors="backslashreplace", env=dict(ENVIRONMENT, **(env or {})),
            start_new_session=True)
        try:
            out, err = child.communicate(stdin, timeout)
        except BaseException:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()
            raise
        done = subprocess.CompletedProcess(words, child.returncode, out, err)
        if check:
            assert done.returncode == 0, \
                f"{' '.join(words)}: exit code {done.returncode}\n{out[-4000:]}\n{err[-4000:]}"
        return done

    def systemctl(self, *words, **options):
        return self.run("systemctl", "--no-pager", *words, **options)

    def fails(self, *words, **options):
        """Run WORDS, which must fail."""
        done = self.run(*words, check=False, **options)
        assert done.returncode != 0, f"{' '.join(words)} succeeded: {done.stdout}{done.stderr}"
        return done

    def show(self, name, unit="echod.service"):
        """A property of a unit."""
        return self.systemctl("show", "--value", f"--property={name}", unit).stdout.strip()

    def path(self, inside):
        """The path from here of the file that is INSIDE there."""
        return Path(f"/proc/{self.init}/root/{inside.lstrip('/')}")

    def write(self, inside, text, mode=0o644):
        """Write a file; its directory is made if need be."""
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def read(self, inside):
        return self.path(inside).read_text()

    def journal(self, *words, after=0):
        """Journal records that match and come after mark AFTER, oldest first, each a dict."""
        out = self.run("journalctl", "--no-pager", "-q", "-o", "json", "--all", *words,
                       timeout=120).stdout
        records = [json.loads(line) for line in out.splitlines()]
        return [r for r in records if sequence(r["__CURSOR"]) > after]

    def messages(self, *words, after=0):
        """The messages of those records."""
        return [str(r.get("MESSAGE", "")) for r in self.journal(*words, after=after)]

    def mark(self):
        """A place in the journal: the number of its last record.  (--after-cursor of systemd
        252 drops a record too many when there are matches as well.)"""
        out = self.run("journalctl", "--no-pager", "-q", "-n1", "-o", "json").stdout
        return sequence(json.loads(out)["__CURSOR"]) if out else 0

    def wait_message(self, text, *words, after=0, promise=2.0):
        """Wait until a record that matches WORDS holds TEXT; the record."""
        return wait_for(f"journal: {text!r} ({' '.join(words)})", lambda: next(
            (r for r in self.journal(*words, after=after) if text in str(r.get("MESSAGE", ""))),
            None), promise, step=0.1)

    # --- processes

    def members(self, unit="echod.service"):
        """{pid on the host: title} of a unit's processes."""
        slices = "system.slice"
        if "@" in unit:
            prefix = unit.split("@")[0].replace("-", "\\x2d")
            slices += f"/system-{prefix}.slice"
        group = self.groups[0] / "payload" / slices / unit
        try:
            pids = [int(p) for p in (group / "cgroup.procs").read_text().split()]
        except (FileNotFoundError, OSError):
            return {}
        return {p: command_line(p) for p in pids}

    def inner(self, pid):
        """What process PID of the host is called inside."""
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("NSpid:"):
                return int(line.split()[-1])
        return 0

    def main(self, unit="echod.service"):
        """The host's pid of the main process of a unit, 0 if there is none."""
        wanted = int(self.show("MainPID", unit) or 0)
        for pid in self.members(unit) if wanted else ():
            try:
                if self.inner(pid) == wanted:
                    return pid
            except (FileNotFoundError, ProcessLookupError):
                pass
        return 0

    @contextmanager
    def held(self, pid):
        """Process PID is stopped (SIGSTOP) within."""
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    # --- the network

    @contextmanager
    def network(self, pid=None):
        """Sockets that this thread makes within belong to the container (or to process PID)."""
        here = os.open(f"/proc/self/task/{threading.get_native_id()}/ns/net", os.O_RDONLY)
        there = os.open(f"/proc/{pid or self.init}/ns/net", os.O_RDONLY)
        try:
            if libc.setns(there, CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            yield
        finally:
            if libc.setns(here, CLONE_NEWNET):
                os._exit(70)  # in the wrong network nothing that follows would be true
            os.close(here)
            os.close(there)

    def popen(self, *words, **options):
        """Start a program of the host in the container's network."""
        return subprocess.Popen(["nsenter", "-t", str(self.init), "-n", "--", *words],
                                start_new_session=True, text=True, **options)


def remove_tree(directory):
    """Remove DIRECTORY and all below."""
    shutil.rmtree(directory, ignore_errors=True)
