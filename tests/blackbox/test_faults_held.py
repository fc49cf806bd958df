# SPDX-License-Identifier: ISC
"""A shortage that lasts: of descriptors, buffers, memory, processes, threads.  One daemon has a
service of each model and engine, and for as long as the shortage is held it uses next to no CPU,
serves who is in, says little, and has those who waited served as soon as it is over.

It is held for 5 s, or for ECHOD_TEST_HOLD seconds: 30 is what docs/faults.md speaks of."""

import errno
import os
import select
import time

import pytest

import procs
from grid import STREAM_PAIRS, TCP4, Cell, usable
from harness import SLACK, SLOW, wait_for
from shim import FOREVER
from talk import ping

HOLD = float(os.environ.get("ECHOD_TEST_HOLD", "5"))
WAITING = 3  # clients of each service that come too late
CPU = 0.05   # of one processor, the whole daemon
LINES = 4    # of the log in 30 s, of each service: the complaint, and a count every ten seconds

SHORTAGES = {name: "accept" for name in ("EMFILE", "ENFILE", "ENOBUFS", "ENOMEM")}


def cells(pairs):
    return [Cell(*pair, TCP4) for pair in usable(pairs)]


class Crowd:
    """Of each service a client that is in, where there is room for it and for another, and clients
    that wait."""

    def __init__(self, d, made):
        self.d = d
        self.live = [d.connect(s) for s, cell in zip(d.services, made) if cell.executors != 1]
        self.times = []
        self.waiting = {}

    def ping(self):
        """The live ones are served; how long each took is kept."""
        for s in self.live:
            start = time.monotonic()
            ping(s)
            self.times.append(time.monotonic() - start)

    def come(self):
        """More clients, each with something to say."""
        for service in self.d.services:
            for i in range(WAITING):
                s = self.d.connect(service)
                s.sendall(b"%d" % i)
                self.waiting[s] = (service.name, b"%d" % i)

    def answered(self):
        """Who of the waiting has an answer by now; leaves, so that the next has its turn."""
        for s in select.select(list(self.waiting), [], [], 0)[0]:
            assert s.recv(100) == self.waiting.pop(s)[1]
            s.close()
        return not self.waiting


def hold(d, crowd, begin, end):
    """Hold a shortage from begin() to end(), and assert what has to hold."""
    crowd.ping()
    crowd.times.clear()
    log = d.mark()
    begin()
    crowd.come()
    before, start = procs.cpu_seconds(d.tree()), time.monotonic()
    while (left := start + HOLD - time.monotonic()) > 0:
        crowd.ping()
        time.sleep(min(left, 0.5))
    used = (procs.cpu_seconds(d.tree()) - before) / (time.monotonic() - start)
    waited = dict(crowd.waiting)
    assert not select.select(list(waited), [], [], 0)[0], "nobody was to be served"
    lines = [x for x in d.lines("", log) if " info: " not in x]
    end()
    start = time.monotonic()
    wait_for("all who waited", crowd.answered, 1.0, step=0.002)
    relief = time.monotonic() - start
    crowd.times.sort()
    print(f"held for {HOLD:.0f} s: CPU {used:.2%}, {len(lines)} lines of {len(d.services)} services, "
          f"live clients at most {crowd.times[-1] * 1e3:.1f} ms, all who waited after "
          f"{relief * 1e3:.0f} ms")
    assert used < CPU * SLOW
    assert crowd.times[-1] < 0.2 * SLACK * SLOW
    assert relief < 0.2 * SLACK * SLOW
    for service in d.services:
        own = [x for x in lines if f"service={service.name} " in x]
        assert 1 <= len(own) <= max(LINES, HOLD / 10 + 1), own
    crowd.ping()


@pytest.mark.slow
@pytest.mark.timeout(HOLD + 120)
@pytest.mark.parametrize("error", SHORTAGES)
def test_accept_fails(echod, tmp_path, shim, error):
    """accept fails in every model and engine at once."""
    made = cells(STREAM_PAIRS)
    d = echod(*[c.service(tmp_path, name=f"{c.model}-{c.engine}") for c in made], env=shim.env)
    hold(d, Crowd(d, made),
         lambda: shim.set(accept_errno=getattr(errno, error), accept_left=FOREVER), shim.calm)
    for service in d.services:
        assert d.count(f"accept_{error.lower()}", service.name) > 0


@pytest.mark.slow
@pytest.mark.timeout(HOLD + 120)
@pytest.mark.parametrize("error", ["EAGAIN", "ENOMEM"])
def test_nobody_can_be_made(echod, tmp_path, shim, error):
    """fork and pthread_create fail."""
    made = cells([p for p in STREAM_PAIRS if p[0] in ("fork", "thread")])
    d = echod(*[c.service(tmp_path, name=f"{c.model}-{c.engine}") for c in made], env=shim.env)
    number = getattr(errno, error)
    hold(d, Crowd(d, made),
         lambda: shim.set(fork_errno=number, fork_left=FOREVER, thread_errno=number,
                          thread_left=FOREVER), shim.calm)
    for service in d.services:
        assert d.count("spawn_failed", service.name) > 0
