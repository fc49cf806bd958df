# SPDX-License-Identifier: ISC
"""The process tree: who is there, what a death costs, and how fast it is made good."""

import ctypes
import os
import re
import signal
import socket
import subprocess
import time

import pytest

import procs
import shim
from grid import (DATAGRAM_PAIRS, STREAM_PAIRS, TCP4, UDP4, Cell, datagram_grid, stream_grid,
                  usable)
from harness import SLACK, SLOW, wait_for
from talk import at_end, exchange, payload, ping, swarm


def kill(*pids):
    procs.send(signal.SIGKILL, *pids)


def zombies(d):
    return [p for p in procs.descendants(d.pid) if procs.state(p) == "Z"]


@stream_grid("tcp4")
def test_titles(echod, cell, tmp_path):
    """ps(1) shows who is who."""
    d = echod(cell.service(tmp_path))
    ping(d.connect())
    assert procs.title(d.pid) == "echod: supervisor"
    titles = sorted(d.processes().values())
    n = 3 if cell.model == "prefork" else 1
    wanted = [f"echod: echo-tcp {cell.model} worker {i}" for i in range(1, n + 1)]
    wanted.append("echod: logger")
    if cell.model == "fork":
        wanted.append("echod: echo-tcp fork client")
    assert titles == sorted(wanted)


@stream_grid("tcp4")
def test_shape(echod, cell, tmp_path):
    """Processes and threads are those of the model, and the supervisor has one thread."""
    d = echod(cell.service(tmp_path))
    clients = [d.connect() for _ in range(2 if cell.executors != 1 else 1)]
    for s in clients:
        ping(s)
    assert procs.threads(d.pid) == 1
    worker = d.workers()[0]
    if cell.model == "fork":
        assert len(procs.descendants(worker)) == 2
    if cell.model == "prethread":
        assert procs.threads(worker) >= 3
    if cell.model == "thread":
        assert procs.threads(worker) >= 3
    if cell.model in ("iterative", "prefork", "fork"):
        assert procs.threads(worker) == 1


def hold_ring(pid):
    """A descriptor for the ring of PID, which then outlives it; pidfd_getfd(2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    number = next(n for n in os.listdir(f"/proc/{pid}/fd")
                  if os.readlink(f"/proc/{pid}/fd/{n}") == "anon_inode:[io_uring]")
    pidfd = os.pidfd_open(pid)
    held = libc.syscall(438, pidfd, int(number), 0)
    os.close(pidfd)
    if held < 0:
        pytest.skip(f"no descriptor of another process: {os.strerror(ctypes.get_errno())}")
    return held


@pytest.mark.parametrize("cell", [
    Cell("iterative", "io_uring", TCP4), Cell("prefork", "io_uring", TCP4),
    Cell("iterative", "io_uring", UDP4), Cell("prefork", "io_uring", UDP4)], ids=str)
def test_ring_of_the_dead(echod, cell, tmp_path):
    """The kernel takes the ring of a killed worker apart later; that it still watches a listener
    costs no client that comes meanwhile."""
    d = echod(cell.service(tmp_path))
    held = []
    try:
        for victim in d.workers():
            n = len(d.workers())
            held.append(hold_ring(victim))
            kill(victim)
            wait_for("the new worker", lambda v=victim, n=n:
                     len(d.workers()) == n and v not in d.workers())
            time.sleep(0.05)  # it watches, too
            s = d.connect()
            if cell.transport.datagram:
                s.send(b"ping")
                assert s.recv(100) == b"ping"
            else:
                ping(s)
            s.close()
            d.check_sums()  # who has answered may not have counted it, and be the next to die
    finally:
        for fd in held:
            os.close(fd)


@stream_grid("tcp4", "unix", quick=("tcp4",))
def test_worker_killed(echod, cell, tmp_path):
    """kill -9 of a worker costs the connections of that one; it is replaced at once, and no
    client is refused meanwhile."""
    d = echod(cell.service(tmp_path))
    for turn in range(5):
        workers = d.workers()
        victim = workers[turn % len(workers)]
        kill(victim)
        for i in range(10):  # the listener never goes away
            s = d.connect()
            ping(s, b"%d.%d" % (turn, i))
            s.close()
        wait_for("the new worker", lambda v=victim, n=len(workers):
                 len(d.workers()) == n and v not in d.workers())
        wait_for("no zombie", lambda: not zombies(d))
    assert 1 <= len(d.lines("died: signal 9 (Killed)")) <= 5  # the same complaint is not repeated
    d.wait_count("workers_died", 5)


@datagram_grid("udp4", "unix-dgram", quick=("udp4",))
def test_datagram_worker_killed(echod, cell, tmp_path):
    """The same for datagrams: the socket, and what waits in it, outlives the worker."""
    d = echod(cell.service(tmp_path))
    before = d.workers()
    kill(*before)
    s = d.services[0].transport.socket()
    if s.family == socket.AF_UNIX:
        s.bind(str(tmp_path / "client"))
    s.settimeout(2.0 * SLACK * SLOW)
    s.connect(d.services[0].address)
    s.send(b"waits")
    assert s.recv(100) == b"waits"
    s.close()
    wait_for("new workers", lambda: len(d.workers()) == len(before)
             and not set(before) & set(d.workers()))


def test_only_its_own_connections(echod, tmp_path):
    """Of the connections of a prefork service only those of the killed worker are lost, and
    they are counted."""
    d = echod(TCP4.service(tmp_path, "prefork", "epoll", workers=3))
    clients = []
    for _ in range(3):  # a worker that is stopped takes none, so they spread
        busiest = max(d.workers(), key=lambda p: len(procs.descriptors(p)))
        os.kill(busiest, signal.SIGSTOP)
        clients += [d.connect() for _ in range(10)]
        for s in clients[-10:]:
            ping(s)
        os.kill(busiest, signal.SIGCONT)
    victim = max(d.workers(), key=lambda p: len(procs.descriptors(p)))
    kill(victim)
    d.wait_count("workers_died", 1)
    wait_for("the end of its connections", lambda: [s for s in clients if at_end(s)])
    killed = d.count("closed_killed")
    lost = 0
    for s in clients:
        try:
            ping(s)
        except (AssertionError, OSError):
            lost += 1
    assert 0 < lost < 30
    assert lost == killed
    d.wait_count("connections_active", 30 - lost)


def shared_memory(pid):
    """The places of what PID shares with the other processes."""
    with open(f"/proc/{pid}/maps") as maps:
        for line in maps:
            if " rw-s " in line and "/dev/zero" in line:
                yield [int(x, 16) for x in line.split()[0].split("-")]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can write into a worker")
def test_worker_that_was_broken_into(echod, tmp_path):
    """It writes that a slot is somebody else's: the supervisor kills none but its own, and ends."""
    d = echod(TCP4.service(tmp_path, "prefork", "epoll", workers=1), top={"shutdown_timeout": 0.2})
    ping(d.connect())
    worker, = d.workers()
    os.kill(worker, signal.SIGSTOP)
    with subprocess.Popen(["sleep", "600"]) as other:
        with open(f"/proc/{worker}/mem", "r+b", buffering=0) as memory:
            for begin, end in shared_memory(worker):
                memory.seek(begin)
                was = memory.read(end - begin)
                at = was.find(worker.to_bytes(4, "little"))
                while at >= 0:
                    memory.seek(begin + at)
                    memory.write(other.pid.to_bytes(4, "little"))
                    at = was.find(worker.to_bytes(4, "little"), at + 4)
        d.signal(signal.SIGTERM)
        try:
            assert d.wait_exit() == 0
            assert other.poll() is None
        finally:
            other.kill()


def test_fork_child_killed(echod, tmp_path):
    """In the fork model a killed child costs its one connection, and no worker is replaced."""
    d = echod(TCP4.service(tmp_path, "fork"))
    clients = [d.connect() for _ in range(5)]
    for s in clients:
        ping(s)
    worker = d.workers()[0]
    victim = procs.descendants(worker)[0]
    kill(victim)
    d.wait_count("closed_killed", 1)
    lost = [s for s in clients if at_end(s)]
    assert len(lost) == 1
    for s in clients:
        if s not in lost:
            ping(s)
    assert d.workers() == [worker]
    wait_for("no zombie", lambda: not zombies(d))


def test_fork_acceptor_killed(echod, tmp_path):
    """Killing the acceptor of the fork model leaves no child without a parent for ever."""
    d = echod(TCP4.service(tmp_path, "fork"))
    s = d.connect()
    ping(s)
    worker = d.workers()[0]
    children = procs.descendants(worker)
    kill(worker)
    wait_for("a new acceptor", lambda: d.workers() and d.workers() != [worker])
    ping(d.connect())
    s.close()
    wait_for("the old child to end", lambda: not any(procs.state(p) for p in children))


def test_no_zombies(echod, tmp_path):
    """500 clients of the fork model leave no zombie, without the next client's help."""
    d = echod(TCP4.service(tmp_path, "fork"))
    assert swarm(d.services[0].connect, [b"x"] * 500, window=50) == []
    wait_for("only the fixed processes", lambda: len(procs.descendants(d.pid)) == 2)


def test_all_children_killed_at_once(echod, tmp_path):
    """100 children that die at the same moment are all reaped and counted."""
    d = echod(TCP4.service(tmp_path, "fork"))
    for _ in range(100):
        ping(d.connect())
    kill(*procs.descendants(d.workers()[0]))
    d.wait_count("closed_killed", 100)
    wait_for("no zombie", lambda: not zombies(d))
    ping(d.connect())


def test_killed_before_it_could_ring(echod, tmp_path):
    """A client's process that has freed its slot, and is killed before it has rung the bell, leaves
    nobody waiting for that."""
    slow_bell = shim.preload(shim.build(tmp_path, ["slow_bell.c"]))
    d = echod(Cell("fork", "blocking", TCP4).service(tmp_path, max_clients=1), env=slow_bell)
    first = d.connect()
    ping(first)
    child = procs.descendants(d.workers()[0])[0]
    second = d.connect()
    second.sendall(b"x")
    time.sleep(0.3)  # its parent waits for room
    first.close()
    d.wait_count("connections_active", 0)
    time.sleep(0.1)
    kill(child)
    assert second.recv(1) == b"x"


@pytest.mark.parametrize("pair", STREAM_PAIRS, ids="-".join)
def test_supervisor_killed(echod, tmp_path, pair):
    """kill -9 of the supervisor takes every process with it within a second, clients or not,
    and a new echod can have the port at once."""
    service = Cell(*pair, TCP4).service(tmp_path)
    d = echod(service)
    ping(d.connect())
    d.expected_exit = -signal.SIGKILL
    family = d.tree()
    d.signal(signal.SIGKILL)
    d.process.wait()
    wait_for("everybody gone", lambda: not any(
        procs.state(p) not in ("", "Z") for p in family), 1.0)
    d.close_clients()
    again = echod(service)
    ping(again.connect())


@pytest.mark.parametrize("pair", DATAGRAM_PAIRS, ids="-".join)
def test_supervisor_of_datagrams_killed(echod, tmp_path, pair):
    """The same for datagrams."""
    service = Cell(*pair, UDP4).service(tmp_path)
    d = echod(service)
    d.expected_exit = -signal.SIGKILL
    family = d.tree()
    d.signal(signal.SIGKILL)
    d.process.wait()
    wait_for("everybody gone", lambda: not any(
        procs.state(p) not in ("", "Z") for p in family), 1.0)
    echod(service)


@pytest.mark.serial
def test_crash_loop(echod, tmp_path):
    """Workers killed again and again come back ever more slowly, at next to no cost, with few
    log lines; within a second of the last kill the service is there."""
    d = echod(TCP4.service(tmp_path, "iterative", "epoll"))
    start, cpu = time.monotonic(), procs.cpu_seconds([d.pid])
    victims, pauses, killed = set(), [], None
    while time.monotonic() < start + 3.0:
        for pid in set(d.workers()) - victims:
            if killed:
                pauses.append(time.monotonic() - killed)
            kill(pid)
            killed = time.monotonic()
            victims.add(pid)
        time.sleep(0.005)
    elapsed = time.monotonic() - start
    assert len(victims) < 40, "no back-off: it makes about a dozen"
    assert min(pauses[-2:]) > 0.1, "no back-off: half a second, after 10, 20, 40, ... ms"
    # Reading the counters and /proc is not the supervisor's cost; a spin would be 100 %.
    assert (procs.cpu_seconds([d.pid]) - cpu) / elapsed < 0.2 * SLOW
    begin = time.monotonic()
    ping(d.connect())
    assert time.monotonic() - begin < 1.0 * SLACK * SLOW
    assert len(d.log().splitlines()) < 2 * len(victims) + 40


@pytest.mark.slow
@pytest.mark.parametrize("pair", STREAM_PAIRS[:6], ids="-".join)
def test_stopped_worker_is_replaced(echod, tmp_path, pair):
    """A worker that is stopped (SIGSTOP) for some 10 s is replaced."""
    d = echod(Cell(*pair, TCP4).service(tmp_path))
    victims = d.workers()
    d.expect_error("is stopped: it is killed")
    for pid in victims:
        os.kill(pid, signal.SIGSTOP)
    wait_for("new workers", lambda: len(d.workers()) == len(victims)
             and not set(victims) & set(d.workers()), 15.0, step=0.2)
    exchange(d.connect(), payload(10000))


@stream_grid("tcp4")
def test_closed_standard_descriptors(echod, cell, tmp_path):
    """Started with 0, 1 and 2 closed, no socket gets one of these numbers, so that no log text
    can reach a client."""
    d = echod(cell.service(tmp_path), ready=False,
              prefix=["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh"])
    d.spawn()
    s = wait_for("a first connection", lambda: attempt(d), 3.0)
    data = payload(200000)
    exchange(s, data)
    for pid in d.tree():
        open_now = procs.descriptors(pid)
        if not open_now:  # the child of a client that has left
            continue
        assert {0, 1, 2} <= set(open_now), open_now
        for number in (0, 1, 2):
            assert open_now[number] == "/dev/null"
    d.check_counters = False  # nobody hears the log


def attempt(d):
    try:
        return d.connect()
    except OSError:
        return None


@pytest.mark.parametrize("extra", [3, 50])
def test_inherited_descriptors(echod, tmp_path, extra):
    """Descriptors that the caller left open are closed."""
    path = tmp_path / "inherited"
    path.write_text("")
    d = echod(TCP4.service(tmp_path, "prefork", "epoll", workers=2),
              prefix=["bash", "-c", f'exec {extra}<{path}; exec "$@"', "bash"])
    for pid in d.tree():
        assert str(path) not in procs.descriptors(pid).values()


@stream_grid("tcp4")
def test_workers_hold_no_file(echod, cell, tmp_path):
    """A worker holds sockets, pipes and event descriptors only: no file, no directory."""
    d = echod(cell.service(tmp_path))
    for pid in d.workers():
        for number, what in procs.descriptors(pid).items():
            assert number <= 2 or re.match(
                r"socket:|pipe:|anon_inode:|/memfd:|/dev/null|/dev/zero", what), what


def test_idle_grid_costs_nothing(echod, tmp_path):
    """Every pair in one daemon, 3 idle clients each: no process uses any CPU time."""
    d = echod(*[Cell(*pair, TCP4).service(tmp_path, name="-".join(pair))
                for pair in usable(STREAM_PAIRS)],
              *[Cell(*pair, UDP4).service(tmp_path, name="udp-" + "-".join(pair))
                for pair in usable(DATAGRAM_PAIRS)])
    for service in d.services:
        for _ in range(3):
            d.connect(service)
    time.sleep(0.3)
    before = procs.cpu_seconds(d.tree())
    time.sleep(2.0)
    assert procs.cpu_seconds(d.tree()) - before <= 0.02


@stream_grid("tcp4", quick=())
def test_idle_costs_nothing(echod, cell, tmp_path):
    """With 10 idle clients no process uses any CPU time: no timer ticks, nothing polls."""
    d = echod(cell.service(tmp_path))
    for _ in range(10):
        s = d.connect()
        if not cell.one_at_a_time:
            ping(s)
    time.sleep(0.3)
    before = procs.cpu_seconds(d.tree())
    time.sleep(2.0)
    assert procs.cpu_seconds(d.tree()) - before <= 0.01
