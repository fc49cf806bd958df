# SPDX-License-Identifier: ISC
"""Transfers cut short, EAGAIN and EINTR anywhere (tests/shim), and storms of real signals."""

import errno
import signal
import socket
import threading
import time

import pytest

import procs
from grid import TCP4, datagram_grid, stream_grid
from harness import SLOW, wait_for
from shim import FOREVER
from talk import Talker, converse, exchange, payload, ping, push_until_stuck, swarm

KIB = 1 << 10


@stream_grid("tcp4", "tcp6", "unix", "mptcp4", quick=("tcp4", "unix"))
def test_short_transfers(echod, cell, tmp_path, shim):
    """Every read and write moves 1 to 7 bytes, 5 % fail with EAGAIN, 5 % with EINTR: no byte is
    lost, doubled or moved."""
    d = echod(cell.service(tmp_path), env=shim.env)
    shim.short(seed=7)
    exchange(d.connect(), payload(150 * KIB), promise=20)
    assert shim.did_cut > 1000 and shim.did_again > 0 and shim.did_intr > 0
    shim.calm()


@stream_grid("tcp4", "unix", quick=("tcp4",))
def test_short_transfers_of_many(echod, cell, tmp_path, shim):
    """The same for 40 clients with different data, one after the other or at once."""
    d = echod(cell.service(tmp_path), env=shim.env)
    shim.short(seed=11)
    assert swarm(d.services[0].connect, [payload(4000 + i, i) for i in range(40)]) == []
    shim.calm()


@pytest.mark.parametrize("seed", range(5))
@stream_grid("tcp4", quick=())
def test_seeds(echod, cell, tmp_path, shim, seed):
    """Other seeds, other cuts (1 to 4000 bytes), in both directions with a late reader."""
    d = echod(cell.service(tmp_path, buffer=4096), env=shim.env)
    shim.set(seed=seed, cut_percent=60, cut_most=4000, again_percent=20, intr_percent=20)
    exchange(d.connect(), payload(1024 * KIB, seed), late=True, promise=20)
    shim.calm()


@stream_grid("tcp4", "unix", quick=("tcp4",))
def test_interrupted_everywhere(echod, cell, tmp_path, shim):
    """Half of all waits, transfers and accepts end with EINTR."""
    d = echod(cell.service(tmp_path), env=shim.env)
    shim.set(seed=3, intr_percent=50)
    assert swarm(d.services[0].connect, [payload(20000, i) for i in range(50)]) == []
    d.reload()
    exchange(d.connect(), payload(100000))
    shim.calm()


@stream_grid("tcp4", quick=())
def test_timeouts_while_interrupted(echod, cell, tmp_path, shim):
    """EINTR does not start a timeout anew, and does not end it early."""
    d = echod(cell.service(tmp_path, idle_timeout=1.0), env=shim.env)
    shim.set(seed=5, intr_percent=30)
    s = d.connect()
    ping(s)
    start = time.monotonic()
    assert s.recv(1) == b""
    assert time.monotonic() - start > 0.9
    s.close()
    shim.calm()
    d.wait_count("closed_idle", 1)


@datagram_grid("udp4", "unix-dgram", quick=("udp4",))
def test_datagrams_interrupted(echod, cell, tmp_path, shim):
    """EAGAIN and EINTR around datagrams lose none."""
    d = echod(cell.service(tmp_path), env=shim.env)
    shim.set(seed=9, again_percent=30, intr_percent=30)
    with cell.transport.socket() as s:
        if s.family == socket.AF_UNIX:
            s.bind(str(tmp_path / "client"))
        s.settimeout(10)
        s.connect(d.services[0].address)
        for i in range(300):
            s.send(b"%d" % i)
            assert s.recv(100) == b"%d" % i
    assert shim.did_intr > 0
    shim.calm()


@pytest.mark.parametrize("error", ["EAGAIN", "ENOBUFS", "EPERM", "ECONNREFUSED", "ENETUNREACH",
                                   "EHOSTUNREACH", "EMSGSIZE", "EINVAL", "ENOMEM"])
@datagram_grid("udp4", quick=("udp4",), pairs=[("iterative", "blocking"), ("iterative", "epoll")])
def test_datagram_cannot_be_sent(echod, cell, tmp_path, shim, error):
    """An answer that the kernel refuses is dropped and counted; the next one goes."""
    d = echod(cell.service(tmp_path), env=shim.env)
    shim.set(send_errno=getattr(errno, error), send_left=10)
    with d.connect() as s:
        for i in range(10):
            s.send(b"lost%d" % i)
        s.send(b"found")
        assert s.recv(100) == b"found"
    d.wait_count("dropped_send", 10)
    d.wait_count("datagrams_out", 1)
    assert len([x for x in d.log().splitlines() if " info: " not in x]) < 8


@datagram_grid("udp4")
def test_datagram_cannot_be_received(echod, cell, tmp_path, shim):
    """As long as nothing can be received nobody spins; what waited is answered after that."""
    d = echod(cell.service(tmp_path), env=shim.env)
    with d.connect() as s:
        shim.set(receive_errno=errno.ENOMEM, receive_left=FOREVER)
        s.send(b"waits")
        d.wait_line("cannot receive, clients wait: Cannot allocate memory")
        before = procs.cpu_seconds(d.tree())
        time.sleep(1.0)
        assert procs.cpu_seconds(d.tree()) - before <= 0.05 * SLOW
        shim.calm()
        assert s.recv(100) == b"waits"
    assert len(d.lines("cannot receive")) == 1


@stream_grid("tcp4")
def test_signal_storm(echod, cell, tmp_path):
    """Every process is showered with harmless signals while bytes flow: none is lost, and
    nobody ends."""
    d = echod(cell.service(tmp_path))
    before = d.tree()
    end = threading.Event()
    sent = []

    def storm():
        while not end.is_set():
            for number in (signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH, signal.SIGCONT,
                           signal.SIGPIPE, signal.SIGUSR2, signal.SIGXFSZ):
                procs.send(number, *before)
                sent.append(number)
            time.sleep(0.0005)

    thread = threading.Thread(target=storm)
    thread.start()
    try:
        for i in range(3):
            s = d.connect()
            exchange(s, payload(1024 * KIB, i))
            s.close()
    finally:
        end.set()
        thread.join()
    assert len(sent) > 0
    assert set(before) <= set(d.tree())


@stream_grid("tcp4")
def test_stop_and_continue(echod, cell, tmp_path):
    """Processes that are stopped and continued (as by a debugger) go on where they were."""
    d = echod(cell.service(tmp_path))
    s = d.connect()
    talker = Talker(s, payload(2048 * KIB))
    pids = d.tree()
    end = threading.Event()

    def pause():
        while not end.is_set():
            for number in (signal.SIGSTOP, signal.SIGCONT):
                procs.send(number, *pids)
                time.sleep(0.01)

    thread = threading.Thread(target=pause)
    thread.start()
    try:
        assert converse([talker], 10) == []
    finally:
        end.set()
        thread.join()
        procs.send(signal.SIGCONT, *pids)


def test_drain_under_short_transfers(echod, tmp_path, shim):
    """A stop delivers everything in flight when every transfer is short, too."""
    d = echod(TCP4.service(tmp_path, "iterative", "epoll"), env=shim.env)
    s = d.connect()
    sent = push_until_stuck(s, 8192 * KIB, quiet=0.2)
    shim.set(seed=1, cut_percent=100, cut_most=3000, again_percent=5, intr_percent=5)
    d.signal(signal.SIGTERM)
    got = 0
    while block := s.recv(65536):
        got += len(block)
    assert got == sent
    s.close()
    assert wait_for("the end", lambda: not d.alive(), 3.0)
