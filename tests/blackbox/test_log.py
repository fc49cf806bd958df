# SPDX-License-Identifier: ISC
"""What the log says when a thing happens again and again, and when nobody reads it."""

import os
import signal

import pytest

from grid import TCP4
from harness import wait_for
from talk import exchange, payload, ping

SERVICE = dict(model="prefork", engine="epoll", workers=2)


def kill_workers(d, service, times):
    """Kill one worker of SERVICE after the other; each is replaced."""
    for _ in range(times):
        died = d.count("workers_died", service)
        victim = d.workers(service)[0]
        os.kill(victim, signal.SIGKILL)
        d.wait_count("workers_died", died + 1, service=service)
        wait_for("the new worker", lambda v=victim: len(d.workers(service)) == 2
                 and v not in d.workers(service))


@pytest.mark.slow
def test_repeated_complaint(echod, tmp_path):
    """A repeated complaint is said once, then with a count every ten seconds; one service's does
    not hide another's."""
    one, two = (TCP4.service(tmp_path, name=n, **SERVICE) for n in ("one", "two"))
    d = echod(one, two)
    kill_workers(d, "one", 4)
    kill_workers(d, "two", 1)
    assert len(d.lines("service=one worker")) == 1, d.log()
    assert len(d.lines("service=two worker")) == 1
    summary = d.wait_line("(and 3 more like it in 10 s)", promise=11.0)
    assert "service=one" in summary
    kill_workers(d, "one", 1)
    d.wait_line("(and 1 more like it in 10 s)", promise=11.0)
    assert len(d.lines("service=one worker")) == 3


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_logger_cannot_stop_service(echod, tmp_path, how):
    """With the logger stopped or killed everybody is served; a killed one is replaced, and what
    was said meanwhile is not lost."""
    d = echod(TCP4.service(tmp_path, **SERVICE), top={"log": {"connections": True}})
    logger = next(p for p in d.tree() if b"logger" in open(f"/proc/{p}/cmdline", "rb").read())
    os.kill(logger, signal.SIGSTOP if how == "stopped" else signal.SIGKILL)
    for i in range(2000):  # more records than the line to the logger holds
        s = d.connect()
        ping(s, b"%d" % i)
        s.close()
    exchange(d.connect(), payload(100000))
    if how == "stopped":
        os.kill(logger, signal.SIGCONT)
        d.wait_line("log messages were dropped", promise=5.0)
    else:
        d.wait_line("connection service=", promise=5.0)
