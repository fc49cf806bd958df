# SPDX-License-Identifier: ISC
"""Clients that break off: a reset is normal, is counted, and hurts nobody else."""

import signal
import socket

import procs
from grid import MANY_AT_ONCE, stream_grid
from harness import wait_for
from talk import exchange, payload, ping, push_until_stuck, reset

MIB = 1 << 20


@stream_grid("tcp4", "tcp6", "mptcp4", quick=("tcp4",))
def test_reset_in_mid_transfer(echod, cell, tmp_path):
    """RST while both directions are full: counted, and the next client is served."""
    d = echod(cell.service(tmp_path))
    for _ in range(5):
        s = d.services[0].connect()
        push_until_stuck(s, 2 * MIB, quiet=0.05)
        reset(s)
    exchange(d.connect(), payload(MIB))
    wait_for("5 resets", lambda: d.count("closed_reset") == 5, 2.0, step=0.05)


@stream_grid("unix")
def test_unix_client_vanishes(echod, cell, tmp_path):
    """A UNIX client that closes with its echo unread: EPIPE and ECONNRESET are survived."""
    d = echod(cell.service(tmp_path))
    for _ in range(10):
        s = d.services[0].connect()
        push_until_stuck(s, MIB, quiet=0.02)
        s.close()
    exchange(d.connect(), payload(MIB))
    d.close_clients()
    d.check_sums()
    d.wait_count("connections_accepted", 11)


@stream_grid("tcp4")
def test_close_without_reading(echod, cell, tmp_path):
    """A client that sends, and closes with unread echo (the kernel sends RST for it)."""
    d = echod(cell.service(tmp_path))
    for i in range(50):
        s = d.services[0].connect()
        s.sendall(payload(3000, i))
        s.close()
    exchange(d.connect(), payload(1000))


@stream_grid("tcp4", pairs=MANY_AT_ONCE)
def test_reset_spares_the_others(echod, cell, tmp_path):
    """20 clients in the middle of something while 50 others reset theirs."""
    d = echod(cell.service(tmp_path))
    keep = [d.connect() for _ in range(20)]
    for i in range(50):
        s = d.services[0].connect()
        s.sendall(bytes(i * 100))
        reset(s)
        ping(keep[i % 20], b"%d" % i)
    for s in keep:
        exchange(s, payload(5000))


@stream_grid("tcp4")
def test_reset_before_accept(echod, cell, tmp_path):
    """A client that resets before it is accepted is nobody's trouble."""
    d = echod(cell.service(tmp_path))
    held = [d.connect() for _ in range(cell.executors or 1)]
    for s in held:
        ping(s)
    for _ in range(30):
        reset(d.services[0].connect())
    d.close_clients()
    exchange(d.connect(), payload(1000))


@stream_grid("tcp4")
def test_sigpipe(echod, cell, tmp_path):
    """SIGPIPE, sent to every process, ends none."""
    d = echod(cell.service(tmp_path))
    s = d.connect()
    ping(s)
    before = d.tree()
    procs.send(signal.SIGPIPE, *before)
    ping(s)
    assert d.tree() == before
    s.shutdown(socket.SHUT_WR)
    assert s.recv(1) == b""
