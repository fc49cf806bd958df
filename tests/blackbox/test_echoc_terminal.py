# SPDX-License-Identifier: ISC
"""The client on a terminal: lines come while it runs, and Ctrl-C ends it with a summary."""

import os
import re
import shlex
import shutil
import subprocess
import tempfile
import time

import pytest

from echoc import ECHOC, target
from grid import TCP4
from harness import WRAPPER, wait_for

pytestmark = pytest.mark.skipif(not shutil.which("tmux"), reason="tmux is not installed")


class Terminal:
    """A terminal of 100 x 50 in a tmux of our own, in which one command runs.

    The pane stays when the command has ended, and shows its exit code in its last line."""

    def __init__(self, *words):
        self.name = f"echoc-{os.getpid()}-{time.monotonic_ns()}"
        # A short path, which a unix socket's has to be.
        self.directory = tempfile.TemporaryDirectory(prefix="ec-", dir="/tmp")
        self.environment = {**os.environ, "TMUX_TMPDIR": self.directory.name, "SHELL": "/bin/sh",
                            "LC_ALL": "C.UTF-8"}
        self.environment.pop("TMUX", None)
        command = shlex.join([*WRAPPER, ECHOC, *map(str, words)])
        self.tmux("new-session", "-d", "-x", "100", "-y", "50",
                  f"trap : INT; {command}; echo \"code=$?\"; exec sleep 600")

    def tmux(self, *words):
        done = subprocess.run(["tmux", "-L", self.name, "-f", "/dev/null", *words], text=True,
                              env=self.environment, capture_output=True, timeout=30, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def screen(self):
        return self.tmux("capture-pane", "-p", "-S", "-", "-J")

    def wait(self, what, pattern, times=1, promise=5.0):
        """The screen, once PATTERN is TIMES on it."""
        def seen():
            screen = self.screen()
            return len(re.findall(pattern, screen, re.M)) >= times and screen
        try:
            return wait_for(what, seen, promise, step=0.05)
        except AssertionError as e:
            raise AssertionError(f"{e}; the screen:\n{self.screen()}") from None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.tmux("kill-server")
        self.directory.cleanup()


@pytest.fixture
def server(echod, tmp_path):
    return target(echod(TCP4.service(tmp_path)).services[0])


REPLY = r"^\d+ bytes from .*seq=\d+ .*time="


def test_ping(server):
    """Replies show one by one; Ctrl-C ends with the summary, and success."""
    with Terminal("ping", "-i", "0.2", *server) as t:
        first = t.wait("replies", REPLY, 2)
        assert "statistics" not in first and "code=" not in first
        shown = len(re.findall(REPLY, first, re.M))
        t.wait("more replies", REPLY, shown + 2)
        t.tmux("send-keys", "C-c")
        last = t.wait("the end", r"^code=")
    summary = last[last.index("echo statistics"):]
    counts = re.search(r"^(\d+) sent, (\d+) received, [01] lost", summary, re.M)
    assert counts and int(counts[2]) >= shown + 2, last
    assert re.search(r"^rtt min/avg/max/mdev = ", summary, re.M), last
    assert "code=0" in summary, last


PROGRESS = r"^ +\d+ s +\d+/s +p50 .* p99 "


def test_load(server):
    """A line a second while it runs, then the table."""
    with Terminal("load", "-c", "4", "-d", "2.5", "--warmup", "0", *server) as t:
        first = t.wait("progress", PROGRESS)
        assert "every byte verified" not in first and "code=" not in first
        last = t.wait("the end", r"^code=", promise=10)
    seconds = [int(x) for x in re.findall(r"^ +(\d+) s +\d+/s ", last, re.M)]
    assert seconds and seconds == sorted(set(seconds)), last
    table = last[[m.end() for m in re.finditer(PROGRESS, last, re.M)][-1]:]
    for text in ("every byte verified", "rate ", "latency ", "99.999 %", "client ", "code=0"):
        assert text in table, (text, last)


def test_load_interrupted(server):
    """One line after the other; Ctrl-C ends it early, with the table of what was measured."""
    with Terminal("load", "-c", "4", "-d", "600", "--warmup", "0", *server) as t:
        t.wait("three seconds", PROGRESS, 3)
        t.tmux("send-keys", "C-c")
        last = t.wait("the end", r"^code=")
    assert "every byte verified" in last and "code=0" in last, last


def test_no_progress(server):
    """--quiet is quiet on a terminal, too."""
    with Terminal("load", "-q", "-c", "2", "-d", "1.2", "--warmup", "0", *server) as t:
        last = t.wait("the end", r"^code=0")
    assert "every byte verified" in last and not re.search(PROGRESS, last, re.M), last
