# SPDX-License-Identifier: ISC
"""No byte ever reaches another client, and what a client used is given back."""

import socket
import struct
import threading
import time

import procs
from grid import MANY_AT_ONCE, stream_grid
from harness import SLOW, wait_for
from talk import exchange, payload, ping, receive, swarm


@stream_grid()
def test_200_clients(echod, cell, tmp_path):
    """200 clients at once with different data: each gets its own."""
    d = echod(cell.service(tmp_path))
    assert swarm(d.services[0].connect, [payload(20000 + i, i) for i in range(200)]) == []
    d.wait_count("closed_eof", 200)


@stream_grid("tcp4", "unix", quick=("tcp4",))
def test_descriptor_reuse(echod, cell, tmp_path):
    """The same while other clients come, send and vanish all the time, so that descriptor
    numbers change hands; half of those vanish with a reset and their echo unread."""
    d = echod(cell.service(tmp_path))
    service = d.services[0]
    end = threading.Event()
    churned = []

    def churn():
        i = 0
        while not end.is_set():
            try:
                with service.connect() as s:
                    s.sendall(b"\xff" * (1 + i % 3000))
                    if i % 2:
                        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                churned.append(i)
            except OSError as e:
                churned.append(e)
            i += 1
            time.sleep(0.002)

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        turn = 0
        while turn < 4 or len(churned) < 100:
            data = [payload(3000, f"{turn}.{i}").replace(b"\xff", b"\xfe") for i in range(60)]
            assert swarm(service.connect, data, window=30) == []
            turn += 1
    finally:
        end.set()
        thread.join()
    assert [e for e in churned if isinstance(e, OSError)] == []


@stream_grid("tcp4", "tcp6", "unix", "mptcp4", quick=("tcp4", "unix"))
def test_1500_quick_connections(echod, cell, tmp_path):
    """1500 connections that send and shut down at once: each gets its echo and FIN."""
    d = echod(cell.service(tmp_path))
    assert swarm(d.services[0].connect, [b"%05d" % i for i in range(1500)], window=100) == []
    d.wait_count("closed_eof", 1500)
    d.wait_count("bytes_in", 7500)
    d.wait_count("bytes_out", 7500)


@stream_grid("tcp4", "unix", quick=("tcp4",))
def test_no_descriptor_leak(echod, cell, tmp_path):
    """After 1200 connections, ended in every way that a client can end them, every process
    has the descriptors that it had before."""
    d = echod(cell.service(tmp_path))
    service = d.services[0]
    assert swarm(service.connect, [b"x"] * 20) == []
    d.check_sums()

    def open_now():
        return {p: len(procs.descriptors(p)) for p in d.tree()}

    wait_for("the clients' processes to be gone",
             lambda: not any(" client" in t or not t for t in d.processes().values()))
    before = open_now()
    for i in range(1200):
        s = service.connect()
        if i % 4:
            s.sendall(b"some")
        if i % 4 == 1:
            assert receive(s, 4) == b"some"
        if i % 4 == 2:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        s.close()
    d.wait_count("connections_accepted", 1220, 5.0)
    wait_for("all connections over", lambda: d.count("connections_active") == 0, 3.0, step=0.1)
    wait_for(f"descriptors as before: {before}", lambda: open_now() == before, 1.0)


@stream_grid("tcp4", pairs=MANY_AT_ONCE)
def test_firehose_does_not_starve(echod, cell, tmp_path):
    """One client that sends as fast as it can does not keep the others from being served."""
    d = echod(cell.service(tmp_path))
    hose, end = d.connect(), threading.Event()
    hose.settimeout(0.5)

    def pump():
        block = bytes(65536)
        while not end.is_set():
            try:
                hose.send(block)
                hose.recv(1 << 20)
            except (TimeoutError, OSError):
                pass

    thread = threading.Thread(target=pump)
    thread.start()
    try:
        clients = [d.connect() for _ in range(20)]
        start = time.monotonic()
        for turn in range(10):
            for i, s in enumerate(clients):
                ping(s, b"%d/%d" % (turn, i))
        assert time.monotonic() - start < 2.0 * 5 * SLOW
    finally:
        end.set()
        thread.join()


@stream_grid("tcp4")
def test_long_among_short(echod, cell, tmp_path):
    """A connection that lives long among short ones keeps its place in its own stream."""
    d = echod(cell.service(tmp_path))
    if cell.one_at_a_time and cell.executors == 1:
        for i in range(50):
            exchange(d.connect(), payload(500, i))
        return
    old = d.connect()
    for i in range(50):
        ping(old, payload(100, i))
        s = d.connect()
        exchange(s, payload(500, -i))
        s.close()
