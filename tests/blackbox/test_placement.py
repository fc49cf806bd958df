# SPDX-License-Identifier: ISC
"""busy_poll and cpus: how an executor waits, and where it runs."""

import os
import time

import pytest

import procs
from grid import DATAGRAM_PAIRS, STREAM_PAIRS, TCP4, Cell, datagram_grid, stream_grid
from harness import SANITIZE, wait_for
from talk import at_end, exchange, payload, ping

ALLOWED = sorted(os.sched_getaffinity(0))
SPIN = dict(busy_poll=1000000)
own_threads = pytest.mark.skipif(SANITIZE == "thread", reason="the sanitizer has threads, too")


def ask(d, cell, data=b"ping"):
    """One round trip; returns the client."""
    s = d.connect()
    if cell.transport.datagram:
        s.send(data)
        assert s.recv(100) == data
    else:
        ping(s, data)
    return s


def spins(d):
    """Do the daemon's processes use a processor although nobody asks anything?"""
    before = procs.cpu_seconds(d.tree())
    wait_for("a spin", lambda: procs.cpu_seconds(d.tree()) - before >= 0.05, 1.0)


def sleeps(d):
    """Do they come to rest?"""
    def rests():
        before = procs.cpu_seconds(d.tree())
        time.sleep(0.5)
        return procs.cpu_seconds(d.tree()) - before <= 0.02
    wait_for("a rest", rests, 3.0)


@stream_grid("tcp4", quick=("tcp4",), pairs=[("iterative", "epoll"), ("thread", "blocking")])
def test_spin(echod, cell, tmp_path):
    """After something came an executor looks for busy_poll, and then it sleeps."""
    d = echod(cell.service(tmp_path, **SPIN))
    sleeps(d)
    s = ask(d, cell)
    spins(d)
    sleeps(d)
    ping(s)
    spins(d)


@stream_grid("tcp4", "unix", quick=())
def test_spin_everywhere(echod, cell, tmp_path):
    """It holds in every cell, and every byte comes back."""
    d = echod(cell.service(tmp_path, **SPIN))
    exchange(d.connect(), payload(300000))
    s = ask(d, cell)
    spins(d)
    sleeps(d)
    ping(s)


@datagram_grid("udp4", quick=())
def test_spin_datagrams(echod, cell, tmp_path):
    """The same for datagrams."""
    d = echod(cell.service(tmp_path, **SPIN))
    ask(d, cell)
    spins(d)
    sleeps(d)


@stream_grid("tcp4", quick=(), pairs=STREAM_PAIRS)
def test_spin_sees_time_and_leash(echod, cell, tmp_path):
    """Who looks misses neither a deadline nor the call to stop."""
    d = echod(cell.service(tmp_path, idle_timeout=0.5, **SPIN))
    s = ask(d, cell)
    wait_for("the end", lambda: at_end(s) == "eof", 1.0)
    s.close()
    d.wait_count("closed_idle", 1)
    ask(d, cell)
    assert d.stop(2.0) == 0


def affinity(pid):
    """{thread: processors} of a process."""
    found = {}
    for name in os.listdir(f"/proc/{pid}/task"):
        found[int(name)] = os.sched_getaffinity(int(name))
    return found


def two():
    """Processors for `cpus`: two if there are."""
    return (ALLOWED * 2)[:2]


def pinned(d):
    """The sets of processors of all executors, of one processor each, in order of their ids."""
    found = []
    for pid in d.workers():
        found += [cpus for tid, cpus in sorted(affinity(pid).items())
                  if tid != pid or len(affinity(pid)) == 1]
    return found


@own_threads
@stream_grid("tcp4", pairs=DATAGRAM_PAIRS)
def test_cpus(echod, cell, tmp_path):
    """Executors go to the processors round robin."""
    cpus = two()
    d = echod(cell.service(tmp_path, cpus=cpus))
    count = 1 if cell.model == "iterative" else 3
    assert [{cpus[i % 2]} for i in range(count)] == pinned(d)
    ask(d, cell)


@own_threads
@datagram_grid("udp4", quick=())
def test_cpus_of_datagrams(echod, cell, tmp_path):
    cpus = two()
    d = echod(cell.service(tmp_path, cpus=cpus[::-1]))
    assert pinned(d)[0] == {cpus[1]}
    ask(d, cell)


@own_threads
@stream_grid("tcp4", pairs=[("fork", "blocking"), ("thread", "blocking")])
def test_cpus_of_clients(echod, cell, tmp_path):
    """Where each client has an executor, so do those; the one that accepts goes where it may."""
    cpus = two()
    d = echod(cell.service(tmp_path, cpus=cpus))
    worker = d.workers()[0]
    for n in range(1, 5):
        ask(d, cell)
        if cell.model == "fork":
            children = [p for p in procs.descendants(worker) if p != worker]
            sets = [os.sched_getaffinity(p) for p in sorted(children)]
        else:
            sets = [c for t, c in sorted(affinity(worker).items()) if t != worker]
        assert sets == [{cpus[i % 2]} for i in range(n)]
    assert os.sched_getaffinity(worker) == set(ALLOWED)


def absent():
    """A processor that this machine has not."""
    return os.sysconf("SC_NPROCESSORS_CONF") + 100


def test_absent_processor(echod, tmp_path):
    """A processor that is not there is an error at the start, and of a reload, which changes
    nothing."""
    cell = stream_cell()
    d = echod(cell.service(tmp_path, cpus=ALLOWED[:1]))
    d.services[0].keys["cpus"] = [ALLOWED[0], absent()]
    d.write_conf()
    d.expect_error("cpus: echod cannot run on processor|reload failed")
    d.reload(ok=False)
    assert d.lines(f"service=echo-tcp cpus: echod cannot run on processor {absent()}")
    assert pinned(d)[0] == {ALLOWED[0]}
    ask(d, cell)


def test_absent_processor_at_start(echod, tmp_path):
    d = echod(stream_cell().service(tmp_path, cpus=[absent()]), ready=False)
    d.expected_exit = os.EX_OSERR
    d.spawn()
    assert d.wait_exit() == os.EX_OSERR
    assert d.lines(f"service=echo-tcp cpus: echod cannot run on processor {absent()}")


def stream_cell():
    """A cell for what is the same in all."""
    return Cell("prefork", "epoll", TCP4)


@pytest.mark.skipif(len(ALLOWED) < 2, reason="one processor")
def test_supervisor_stays(echod, tmp_path):
    """To try cpus pins nobody else; a reload without them frees the workers."""
    d = echod(stream_cell().service(tmp_path, cpus=ALLOWED[:1]))
    assert os.sched_getaffinity(d.pid) == set(ALLOWED)
    d.services[0].keys["cpus"] = []
    d.write_conf()
    d.reload()
    wait_for("the new workers", lambda: len(d.workers()) == 3 and
             all(c == set(ALLOWED) for c in pinned(d)), 3.0)
