# SPDX-License-Identifier: ISC
"""SIGTERM and SIGINT: nobody new, everything in flight delivered, then FIN and exit 0."""

import select
import signal
import socket
import threading
import time

import pytest

from grid import MANY_AT_ONCE, TCP4, Cell, stream_grid
from harness import SLACK, SLOW, wait_for
from talk import at_end, payload, ping, push_until_stuck, receive

MIB = 1 << 20


@stream_grid("tcp4", "tcp6", "unix", "mptcp4", quick=("tcp4", "unix"))
def test_idle_clients_do_not_delay(echod, cell, tmp_path):
    """Idle clients get FIN, not RST, and the stop takes no time for them."""
    d = echod(cell.service(tmp_path))
    clients = [d.connect() for _ in range(cell.executors or 20)]
    for s in clients:
        ping(s)
    start = time.monotonic()
    d.signal(signal.SIGTERM)
    for s in clients:
        assert s.recv(1) == b""
        s.close()
    assert d.wait_exit() == 0
    assert time.monotonic() - start < 1.5 * SLACK * SLOW
    assert d.lines("stopping") and d.lines("stopped")


@stream_grid("tcp4", "unix", quick=("tcp4",))
def test_clients_that_do_not_close(echod, cell, tmp_path):
    """A client that ignores the FIN delays the stop by the lingering close only."""
    d = echod(cell.service(tmp_path))
    for _ in range(cell.executors or 5):
        ping(d.connect())
    start = time.monotonic()
    assert d.stop() == 0
    assert time.monotonic() - start < 2.0 * SLACK * SLOW


@stream_grid("tcp4", "unix", quick=("unix",))
def test_answers_that_nobody_reads(echod, cell, tmp_path):
    """Nor does one that leaves its answer unread: that has arrived, and is there after the stop."""
    d = echod(cell.service(tmp_path))
    s = d.connect()
    s.sendall(b"unread")
    d.wait_count("bytes_out", 6)
    start = time.monotonic()
    assert d.stop() == 0
    assert time.monotonic() - start < 2.0 * SLACK * SLOW
    assert receive(s, 6) == b"unread" and s.recv(1) == b""


@stream_grid("tcp4", "unix", "mptcp4", quick=("tcp4",))
def test_in_flight_is_delivered(echod, cell, tmp_path):
    """TERM while a client has megabytes under way that it reads late: it gets every byte that
    it had sent before the stop, then FIN."""
    d = echod(cell.service(tmp_path))
    s = d.connect()
    ping(s)
    sent = push_until_stuck(s, 64 * MIB, quiet=0.2)
    d.signal(signal.SIGTERM)
    d.wait_line("stopping")
    got = 0
    while True:
        block = s.recv(MIB)  # a reset would raise
        if not block:
            break
        got += len(block)
    assert got == sent
    s.close()
    assert d.wait_exit() == 0


@stream_grid("tcp4", quick=())
def test_a_slow_upload_is_delivered(echod, cell, tmp_path):
    """After a second of draining, too, what has been sent already comes back: a client that sends
    faster than it reads has something unread all the time."""
    d = echod(cell.service(tmp_path), top={"shutdown_timeout": 60.0})
    s = d.connect()
    ping(s)
    size, block, got = 48 * MIB, payload(MIB), 0
    sender = threading.Thread(target=lambda: [s.sendall(block) for _ in range(size // MIB)])
    sender.start()
    d.signal(signal.SIGTERM)
    while got < size:
        back = s.recv(1 << 16)
        assert back, f"{got} of {size} bytes came back"
        got += len(back)
        time.sleep(0.003)
    sender.join()
    s.close()
    assert d.wait_exit() == 0


@pytest.mark.parametrize("limit", [1.0, pytest.param(60.0, marks=pytest.mark.slow)])
@stream_grid("tcp4")
def test_busy_clients(echod, cell, tmp_path, limit):
    """Clients that never stop talking: what they sent and got is consistent, no reset before
    the FIN, and the stop takes a second or two, however long it might."""
    d = echod(cell.service(tmp_path), top={"shutdown_timeout": limit})
    problems, ended = [], []

    def talk(s):
        data, i = b"", 0
        try:
            while True:
                data = b"%08d" % i
                s.sendall(data)
                back = receive(s, 8)
                if back != data:
                    if not data.startswith(back):
                        problems.append(f"{back!r} for {data!r}")
                    ended.append("eof")
                    return
                i += 1
        except OSError as e:
            ended.append(type(e).__name__)

    threads = [threading.Thread(target=talk, args=(d.connect(),))
               for _ in range(cell.executors or 8)]
    for t in threads:
        t.start()
    time.sleep(0.3)
    start = time.monotonic()
    assert d.stop() == 0
    assert time.monotonic() - start < 2.0 * SLACK * SLOW
    for t in threads:
        t.join(20)
    assert problems == []
    assert len(ended) == len(threads)


@stream_grid("tcp4")
def test_nobody_new(echod, cell, tmp_path):
    """After TERM, while old clients are served to their end, a new one is refused."""
    d = echod(cell.service(tmp_path))
    s = d.connect()
    push_until_stuck(s, 64 * MIB, quiet=0.2)
    d.signal(signal.SIGTERM)
    d.wait_line("stopping")

    def refused():
        try:
            d.services[0].connect().close()
        except OSError:
            return True
        return False

    wait_for("refusal", refused, 1.0)
    assert d.alive()
    s.close()
    assert d.wait_exit() == 0


@stream_grid("tcp4")
def test_waiting_clients(echod, cell, tmp_path):
    """Clients that wait in the backlog at TERM do not keep echod from ending."""
    d = echod(cell.service(tmp_path, max_clients=cell.executors or 2))
    for _ in range(10):
        d.connect().sendall(b"x")
    assert d.stop() == 0


@pytest.mark.parametrize("number", [
    signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
@stream_grid("tcp4")
def test_second_signal_ends_at_once(echod, cell, tmp_path, number):
    """A second TERM (or INT) does not wait for anybody; exit 0."""
    d = echod(cell.service(tmp_path), top={"shutdown_timeout": 100.0})
    s = d.connect()
    push_until_stuck(s, 64 * MIB, quiet=0.2)
    d.signal(number)
    d.wait_line("stopping")
    time.sleep(0.5)  # two that come together are one
    assert d.alive()
    start = time.monotonic()
    d.signal(number)
    assert d.wait_exit() == 0
    assert time.monotonic() - start < 1.0 * SLACK * SLOW


@stream_grid("tcp4", "unix", quick=("tcp4",))
def test_shutdown_timeout(echod, cell, tmp_path):
    """A client that never reads cannot hold the stop for longer than shutdown_timeout."""
    d = echod(cell.service(tmp_path), top={"shutdown_timeout": 1.0})
    s = d.connect()
    push_until_stuck(s, 64 * MIB, quiet=0.2)
    start = time.monotonic()
    assert d.stop() == 0
    assert 0.9 < time.monotonic() - start < 2.0 * SLACK * SLOW


@pytest.mark.parametrize("pair", MANY_AT_ONCE, ids="-".join)
def test_trickle_during_drain(echod, tmp_path, pair):
    """Bytes that arrive while the drain looks for the connection's end are echoed too."""
    d = echod(Cell(*pair, TCP4).service(tmp_path), top={"shutdown_timeout": 10.0})
    s = d.connect()
    ping(s)
    d.signal(signal.SIGTERM)
    sent = got = 0
    s.setblocking(False)
    end = time.monotonic() + 10
    while time.monotonic() < end:
        try:
            sent += s.send(b"t")
        except (BrokenPipeError, ConnectionResetError):
            break
        select.select([s], [], [], 0.05)
        try:
            block = s.recv(100)
        except BlockingIOError:
            continue
        except ConnectionResetError:
            break
        if not block:
            break
        got += len(block)
    s.close()
    assert sent - got <= 2, "more than what crossed the FIN is missing"
    assert d.wait_exit() == 0


def test_stop_before_ready(echod, tmp_path):
    """TERM while echod starts is a stop like any other, and never an orphan."""
    for delay in (0.0, 0.002, 0.005, 0.01, 0.02, 0.05):
        d = echod(TCP4.service(tmp_path, "prefork", "epoll", workers=4), ready=False)
        d.check_counters = False
        d.spawn()
        time.sleep(delay)
        d.signal(signal.SIGTERM)
        code = d.process.wait(5 * SLACK * SLOW)
        # Before the handlers are there TERM's default holds.
        assert code in (0, -signal.SIGTERM)
        d.expected_exit = code


def test_fin_not_rst_with_unread_input(echod, tmp_path):
    """A client that keeps sending into the drain still reads all of its echo before any reset:
    the close is a lingering one."""
    d = echod(TCP4.service(tmp_path, "iterative", "epoll"))
    s = d.connect()
    ping(s)
    data = payload(200000)
    s.sendall(data)
    d.signal(signal.SIGTERM)
    assert receive(s, len(data)) == data
    s.settimeout(5.0)
    assert s.recv(1) == b""
    s.sendall(b"too late")
    assert at_end(s) == "eof"
    s.shutdown(socket.SHUT_WR)
    assert d.wait_exit() == 0
