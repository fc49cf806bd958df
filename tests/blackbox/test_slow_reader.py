# SPDX-License-Identifier: ISC
"""A client that does not read costs a bounded piece of memory and, in the end, its connection;
others are served meanwhile wherever an executor is free."""

import socket
import time

import procs
from grid import MANY_AT_ONCE, stream_grid
from harness import SLACK, SLOW, wait_for
from talk import Talker, at_end, converse, exchange, payload, ping, push_until_stuck

MIB = 1 << 20
GROWTH_KIB = 8 * 1024  # of all processes together: buffers are 256 KiB, noise is the rest


@stream_grid("tcp4", "tcp6", "unix", "mptcp4", quick=("tcp4", "unix"))
def test_never_reading_client(echod, cell, tmp_path):
    """64 MiB pushed by a client that does not read: only what the sockets and one buffer hold
    is taken, memory stays bounded, others are served, and once the client reads it gets every
    byte that it sent."""
    d = echod(cell.service(tmp_path))
    free_executor = cell.executors != 1
    if free_executor:
        ping(d.connect())
    before = procs.private_kib(d.tree())
    stuck = d.connect()
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    sent = push_until_stuck(stuck, 64 * MIB)
    assert sent < 64 * MIB, "no back-pressure: everything was taken"
    assert procs.private_kib(d.tree()) - before < GROWTH_KIB * SLOW
    if free_executor:
        for i in range(5):
            s = d.connect()
            exchange(s, payload(10000, i))
            s.close()
    assert at_end_after(stuck, sent) == "eof"


def at_end_after(sock, zeros):
    """Shut down, read exactly ZEROS zero bytes, and say how the stream ended."""
    sock.shutdown(socket.SHUT_WR)
    zero = bytes(MIB)
    got = 0
    while True:
        block = sock.recv(MIB)
        if not block:
            break
        assert block == zero[:len(block)], "damaged"
        got += len(block)
    assert got == zeros
    return "eof"


@stream_grid("tcp4", pairs=MANY_AT_ONCE, quick=())
def test_50_stuck_clients(echod, cell, tmp_path):
    """50 of them cost at most 50 buffers, and the others do not notice."""
    d = echod(cell.service(tmp_path, buffer=65536, socket={"SO_SNDBUF": 65536,
                                                           "SO_RCVBUF": 65536}))
    for _ in range(10):
        ping(d.connect())
    before = procs.private_kib(d.tree())
    for _ in range(50):
        s = d.connect()
        push_until_stuck(s, 8 * MIB, quiet=0.01)
    # A child of fork has some pages of its own besides the buffer.
    each = 64 + (2048 if cell.model == "fork" else 256)
    assert procs.private_kib(d.tree()) - before < 50 * each * SLOW
    start = time.monotonic()
    for s in d.clients[:10]:
        ping(s)
    assert time.monotonic() - start < 0.5 * SLACK * SLOW


@stream_grid("tcp4", pairs=MANY_AT_ONCE, quick=())
def test_memory_goes_back(echod, cell, tmp_path):
    """When they leave so does what they held: the system has it again."""
    d = echod(cell.service(tmp_path, socket={"SO_SNDBUF": 65536, "SO_RCVBUF": 65536}))
    exchange(d.connect(), payload(MIB))
    before = procs.private_kib(d.tree())
    for _ in range(2):
        stuck = [d.connect() for _ in range(32)]
        for s in stuck:
            push_until_stuck(s, 8 * MIB, quiet=0.01)
        assert procs.private_kib(d.tree()) - before > 32 * 64
        for s in stuck:
            s.close()
        wait_for("they are gone", lambda: d.count("connections_active") <= 1)
    wait_for("the memory is back", lambda: procs.private_kib(d.tree()) - before < 32 * 64)


@stream_grid("tcp4", "unix", quick=("tcp4",))
def test_write_timeout(echod, cell, tmp_path):
    """A client that takes nothing for write_timeout seconds is closed and counted; one that
    reads slowly but steadily is not.  The one-at-a-time pairs serve the next client then."""
    d = echod(cell.service(tmp_path, write_timeout=1.0))
    stuck = [d.connect() for _ in range(cell.executors or 1)]
    for s in stuck:
        push_until_stuck(s, 64 * MIB, quiet=0.2)
    waiting = d.connect()
    start = time.monotonic()
    ping(waiting)
    assert time.monotonic() - start < 2.0 * SLACK * SLOW
    d.wait_count("closed_write_timeout", len(stuck), 2.0)
    for s in stuck:
        assert wait_for("the end of the stuck client", lambda s=s: at_end(s), 1.0)


@stream_grid("tcp4", quick=())
def test_slow_but_steady(echod, cell, tmp_path):
    """Progress, however small, keeps a connection: only standing still counts."""
    d = echod(cell.service(tmp_path, write_timeout=1.0, socket={"SO_SNDBUF": 16384}))
    s = d.connect()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
    data = payload(3 * MIB)
    talker = Talker(s, data)
    end = time.monotonic() + 3.0
    while time.monotonic() < end and not talker.problem:
        talker.step_once(5)  # EPOLLIN | EPOLLOUT
        time.sleep(0.02)
    assert talker.problem is None
    assert converse([talker]) == []
    assert d.count("closed_write_timeout") == 0
