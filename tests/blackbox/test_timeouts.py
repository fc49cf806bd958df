# SPDX-License-Identifier: ISC
"""The clocks of a connection: idle_timeout and lifetime (write_timeout is in
test_slow_reader.py)."""

import select
import signal
import time

import pytest

import shim
from grid import MANY_AT_ONCE, STREAM_PAIRS, stream_grid
from harness import SLACK, SLOW, wait_for
from talk import at_end, ping


@stream_grid("tcp4", "unix", "mptcp4", quick=("tcp4",))
def test_idle_timeout(echod, cell, tmp_path):
    """A client that does nothing for idle_timeout seconds is ended with FIN, and counted."""
    d = echod(cell.service(tmp_path, idle_timeout=0.5))
    s = d.connect()
    ping(s)
    start = time.monotonic()
    wait_for("the end", lambda: at_end(s) == "eof", 1.0)
    assert time.monotonic() - start > 0.4
    s.close()
    d.wait_count("closed_idle", 1)


@stream_grid("tcp4", quick=())
def test_idle_timeout_spares_the_active(echod, cell, tmp_path):
    """Every byte starts the clock anew."""
    d = echod(cell.service(tmp_path, idle_timeout=0.6 * SLOW))
    s = d.connect()
    end = time.monotonic() + 1.5 * SLOW
    while time.monotonic() < end:
        ping(s)
        time.sleep(0.1 * SLOW)
    assert d.count("closed_idle") == 0


@stream_grid("tcp4", "unix", quick=("tcp4",))
def test_lifetime(echod, cell, tmp_path):
    """A connection ends after lifetime seconds, however busy it is."""
    d = echod(cell.service(tmp_path, lifetime=0.8))
    s = d.connect()
    start = time.monotonic()
    try:
        while True:
            s.sendall(b"x")
            if not s.recv(1):
                break
            assert time.monotonic() - start < 0.8 * SLACK * SLOW, "still open"
            time.sleep(0.05)
    except (ConnectionResetError, BrokenPipeError):
        pass
    assert time.monotonic() - start > 0.7
    s.close()
    d.wait_count("closed_lifetime", 1)


@pytest.fixture(scope="module", name="slow_recv")
def slow_recv_library(tmp_path_factory):
    return shim.preload(shim.build(tmp_path_factory.mktemp("slow"), ["slow_recv.c"]))


def flood(s, seconds):
    """Send and receive without a pause until the server ends S, or for so long.  Returns whether
    it has."""
    data = bytes(1 << 20)
    s.setblocking(False)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        readable, writable, _ = select.select([s], [s], [], 0.1)
        try:
            if readable and not s.recv(1 << 20):
                return True
            if writable:
                s.send(data)
        except (ConnectionResetError, BrokenPipeError):
            return True
    return False


ONE_AT_A_TIME = [p for p in STREAM_PAIRS if p[1] == "blocking"]


@stream_grid("tcp4", pairs=ONE_AT_A_TIME)
def test_lifetime_of_a_flood(echod, cell, tmp_path, slow_recv):
    """A client that sends faster than it gets its echo has always sent more: it ends all the
    same."""
    d = echod(cell.service(tmp_path, lifetime=0.5, buffer=4096), env=slow_recv)
    assert flood(d.connect(), 0.5 * SLACK * SLOW)
    d.wait_count("closed_lifetime", 1, 2.0)


@stream_grid("tcp4", pairs=ONE_AT_A_TIME)
def test_flood_without_a_supervisor(echod, cell, tmp_path, slow_recv):
    """Nor does such a client keep a worker whose supervisor is dead."""
    d = echod(cell.service(tmp_path, buffer=4096), env=slow_recv)
    s = d.connect()
    assert not flood(s, 0.5)
    d.expected_exit = -signal.SIGKILL
    d.signal(signal.SIGKILL)
    d.process.wait()
    assert flood(s, 0.5 * SLACK * SLOW)


@stream_grid("tcp4", "unix", pairs=MANY_AT_ONCE, quick=())
def test_crowd(echod, cell, tmp_path):
    """A service that is full ends idle connections after a tenth of idle_timeout, those that are
    active stay; one that is half full leaves them all the time."""
    d = echod(cell.service(tmp_path, idle_timeout=30, max_clients=10))
    silent = [d.connect() for _ in range(5)]
    busy = d.connect()

    def ended():
        ping(busy)
        return [s for s in silent if at_end(s)]
    for s in silent:
        ping(s)
    end = time.monotonic() + 4.5
    while time.monotonic() < end:
        assert not ended()
        time.sleep(0.2)
    start = time.monotonic()
    silent += [d.connect() for _ in range(4)]
    wait_for("the end of those who are silent", lambda: len(ended()) >= 4, 6.0)
    assert time.monotonic() - start < 20
    wait_for("their count", lambda: d.count("closed_idle") >= 4, 2.0, step=0.1)


@stream_grid("tcp4", quick=())
def test_no_timeout(echod, cell, tmp_path):
    """0 is off: a silent client is kept."""
    d = echod(cell.service(tmp_path, idle_timeout=0, lifetime=0, write_timeout=0))
    s = d.connect()
    time.sleep(2.0)
    ping(s)


@pytest.mark.parametrize("key", [
    "idle_timeout", pytest.param("lifetime", marks=pytest.mark.slow)])
@stream_grid("tcp4")
def test_timeout_frees_the_executor(echod, cell, tmp_path, key):
    """Where one client at a time is served, the next one's turn comes with the timeout."""
    d = echod(cell.service(tmp_path, **{key: 0.5}))
    held = [d.connect() for _ in range(cell.executors or 1)]
    for s in held:
        ping(s)
    ping(d.connect())
