# SPDX-License-Identifier: ISC
"""max_clients: what happens to the client after the last one."""

import select
import time

import pytest

import procs
import shim
from grid import MANY_AT_ONCE, stream_grid
from harness import wait_for
from talk import at_end, exchange, payload, ping

LIMIT = 5


def full(d, limit=LIMIT):
    """LIMIT clients that are being served."""
    clients = [d.connect() for _ in range(limit)]
    for s in clients:
        ping(s)
    return clients


def silent(sock, seconds=0.3):
    """Does nothing come for SECONDS?"""
    return select.select([sock], [], [], seconds)[0] == []


@stream_grid("tcp4", "unix", "mptcp4", pairs=MANY_AT_ONCE, quick=("tcp4", "unix"))
def test_wait(echod, cell, tmp_path):
    """The next clients wait in the backlog, their data too, and are served one by one as
    others leave; no more than max_clients are ever accepted."""
    d = echod(cell.service(tmp_path, max_clients=LIMIT))
    clients = full(d)
    waiting = [d.connect() for _ in range(3)]
    for i, s in enumerate(waiting):
        s.sendall(b"early%d" % i)
    assert all(silent(s, 0.1) for s in waiting)
    d.wait_count("connections_active", LIMIT)
    for s in clients:
        ping(s)
    for i, s in enumerate(waiting):
        clients[i].close()
        assert s.recv(100) == b"early%d" % i
    d.wait_count("connections_active", LIMIT)
    d.wait_count("connections_accepted", LIMIT + 3)
    assert d.count("rejected_full") == 0


def rejection(d):
    """How a client that comes too late is told: "eof" or "reset"."""
    try:
        s = d.connect()
    except ConnectionResetError:  # so fast that connect(2) sees it
        return "reset"
    return wait_for("the rejection", lambda: at_end(s), 1.0)


@pytest.mark.parametrize("how", ["close", "reset"])
@stream_grid("tcp4", "unix", "mptcp4", pairs=MANY_AT_ONCE, quick=("tcp4",))
def test_rejected(echod, cell, tmp_path, how):
    """when_full = close or reset: the next client is told at once and counted; those inside do
    not notice; after one left there is room for one."""
    d = echod(cell.service(tmp_path, max_clients=LIMIT, when_full=how))
    clients = full(d)
    for _ in range(7):
        end = rejection(d)
        if cell.transport.protocol == "tcp":
            assert end == {"close": "eof", "reset": "reset"}[how]
    for s in clients:
        ping(s)
    d.wait_count("rejected_full", 7)
    d.wait_count("connections_accepted", LIMIT)
    clients[0].close()
    d.wait_count("connections_active", LIMIT - 1)
    exchange(d.connect(), payload(1000))


@pytest.fixture(scope="module", name="slow_accept")
def slow_accept_library(tmp_path_factory):
    return shim.preload(shim.build(tmp_path_factory.mktemp("slow"), ["slow_accept.c"]))


@stream_grid("tcp4", pairs=[p for p in MANY_AT_ONCE if p[0] in ("prefork", "prethread")])
def test_nobody_is_turned_away_while_there_is_room(echod, cell, tmp_path, slow_accept):
    """An executor had a slot while it looked for a client; another that looked at the same time
    found none left, and turned the client away whom the first was to take."""
    d = echod(cell.service(tmp_path, max_clients=2, when_full="close"), env=slow_accept)
    for _ in range(20):
        clients = [d.connect()]
        time.sleep(0.035)  # it may have been taken, and its executor looks for another
        clients.append(d.connect())
        for s in clients:
            ping(s)
            s.close()
        d.wait_count("connections_active", 0)
    full(d, 2)
    assert rejection(d) == "eof"


@stream_grid("tcp4", pairs=MANY_AT_ONCE)
def test_double_load(echod, cell, tmp_path):
    """Twice as many clients as places, again and again: exact counts, nobody lost."""
    d = echod(cell.service(tmp_path, max_clients=LIMIT))
    for turn in range(3):
        clients = [d.connect() for _ in range(2 * LIMIT)]
        for i, s in enumerate(clients):
            s.sendall(b"%d.%d" % (turn, i))
        left = dict(enumerate(clients))
        while left:
            ready = select.select(list(left.values()), [], [], 10)[0]
            assert ready, "nobody is served"
            for i, s in list(left.items()):
                if s in ready:
                    assert s.recv(100) == b"%d.%d" % (turn, i)
                    s.close()
                    del left[i]
    d.wait_count("closed_eof", 6 * LIMIT)


@stream_grid("tcp4", pairs=[("iterative", "blocking"), ("prefork", "blocking"),
                            ("prethread", "blocking")])
def test_one_at_a_time_waits(echod, cell, tmp_path):
    """In the one-at-a-time pairs the executors are the limit: the next client waits."""
    d = echod(cell.service(tmp_path))
    clients = full(d, cell.executors)
    s = d.connect()
    s.sendall(b"early")
    assert silent(s)
    clients[0].close()
    assert s.recv(100) == b"early"


@stream_grid("tcp4", pairs=MANY_AT_ONCE, quick=())
def test_full_costs_no_cpu(echod, cell, tmp_path):
    """A full service with clients in the backlog sleeps."""
    d = echod(cell.service(tmp_path, max_clients=LIMIT))
    full(d)
    for _ in range(5):
        d.connect()
    before = procs.cpu_seconds(d.tree())
    time.sleep(1.0)
    assert procs.cpu_seconds(d.tree()) - before <= 0.05
