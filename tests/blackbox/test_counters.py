# SPDX-License-Identifier: ISC
"""Counters equal what the clients did, and the log says what it should and no more."""

import re
import socket
import time

import pytest

from grid import TCP4, UDP4, datagram_grid, stream_grid
from harness import LINE, never, wait_for
from talk import exchange, payload, ping, reset


@stream_grid(quick=("tcp4", "unix"))
def test_streams_are_counted(echod, cell, tmp_path):
    """Connections and bytes are exact while clients are there and after they left."""
    d = echod(cell.service(tmp_path))
    total = 0
    for i in range(10):
        s = d.connect()
        exchange(s, payload(1000 + i, i))
        s.close()
        total += 1000 + i
    d.wait_count("closed_eof", 10)
    s = d.connect()
    ping(s, b"12345")
    d.wait_counts(connections_accepted=11, connections_active=1, bytes_in=total + 5,
                  bytes_out=total + 5, datagrams_in=0, workers_died=0,
                  workers_started=3 if cell.model == "prefork" else 1)
    s.close()
    d.wait_count("closed_eof", 11)


@stream_grid("tcp4", "unix", quick=("tcp4",))
def test_echoes_are_counted(echod, cell, tmp_path):
    """A question that is sent back whole is an echo, in however many pieces it went."""
    d = echod(cell.service(tmp_path))
    s = d.connect()
    for i in range(20):
        ping(s, payload(1 + 13 * i))
    d.wait_count("echoes", 20)
    exchange(s, payload(4 << 20), late=True)  # reads of at most `buffer` bytes
    assert 20 + (4 << 20) // (256 << 10) <= d.count("echoes") <= 20 + (4 << 20)


@datagram_grid()
def test_datagrams_are_counted(echod, cell, tmp_path):
    """Datagrams, their bytes and the echoes of them are exact."""
    d = echod(cell.service(tmp_path))
    with cell.transport.socket() as s:
        if s.family == socket.AF_UNIX:
            s.bind(str(tmp_path / "client"))
        s.settimeout(10)
        s.connect(d.services[0].address)
        for i in range(50):
            s.send(payload(i))
            s.recv(1000)
    d.wait_counts(datagrams_in=50, datagrams_out=50, bytes_in=sum(range(50)),
                  bytes_out=sum(range(50)), echoes=50)


@pytest.mark.parametrize("how,reason", [("eof", "eof"), ("reset", "reset"), ("idle", "idle"),
                                        ("lifetime", "lifetime"), ("drain", "drain")])
@stream_grid("tcp4", "unix", quick=("tcp4",))
def test_connection_records(echod, cell, tmp_path, how, reason):
    """With log.connections there is one record for each finished connection, with its peer,
    its reason, its bytes and its time."""
    if cell.transport.name == "unix" and how == "reset":
        pytest.skip("a UNIX client that closes sends no reset")
    keys = {"idle": {"idle_timeout": 0.3}, "lifetime": {"lifetime": 0.3}}.get(how, {})
    d = echod(cell.service(tmp_path, **keys), top={"log": {"connections": True}})
    s = d.connect()
    ping(s, b"seven.." * 3)
    peer = s.getsockname()
    if how == "eof":
        s.close()
    elif how == "reset":
        reset(s)
    elif how == "drain":
        d.signal(15)
        d.wait_line("stopping")
        assert s.recv(1) == b""
        s.close()
    else:
        assert s.recv(1) == b""
        s.close()
    line = wait_for("the record", lambda: d.lines("connection service="), 2.0)[0]
    assert f"service={d.services[0].name}" in line
    assert f"reason={reason}" in line
    assert "bytes_in=21 bytes_out=21" in line
    assert re.search(r"seconds=\d+(\.\d+)?", line)
    if cell.transport.protocol == "tcp":
        assert f"peer={peer[0]}:{peer[1]}" in line
    if d.alive():
        time.sleep(0.05)
    assert len(d.lines("connection service=")) == 1


@stream_grid("tcp4")
def test_no_line_per_connection(echod, cell, tmp_path):
    """By default nothing is logged for a connection, however it ends."""
    d = echod(cell.service(tmp_path))
    start = d.mark()
    for i in range(100):
        s = d.connect()
        s.sendall(b"x" * i)
        if i % 2:
            reset(s)
        else:
            s.close()
    exchange(d.connect(), payload(100))
    never("a line in the log", lambda: d.log()[start:], 0.2)


def test_no_line_per_datagram(echod, tmp_path):
    """Nor for a datagram, answered or not."""
    d = echod(UDP4.service(tmp_path, "iterative", "epoll"))
    start = d.mark()
    s = d.connect()
    for i in range(100):
        s.send(b"%d" % i)
        s.recv(100)
    never("a line in the log", lambda: d.log()[start:], 0.2)


@pytest.mark.parametrize("level,least", [("error", 0), ("warning", 0), ("notice", 1), ("info", 4)])
def test_level(echod, tmp_path, level, least):
    """log.level leaves out what is more verbose."""
    d = echod(TCP4.service(tmp_path, "iterative", "epoll"), top={"log": {"level": level}},
              ready=False)
    d.check_counters = False
    d.spawn()

    def served():
        try:
            ping(d.connect())
        except OSError:
            return False
        return True

    wait_for("a first client", served)
    assert d.stop() == 0
    order = ["error", "warning", "notice", "info", "debug"]
    levels = [LINE.match(x)[2] for x in d.log().splitlines()]
    assert all(order.index(x) <= order.index(level) for x in levels)
    assert len(levels) >= least


def test_log_is_plain_text(echod, tmp_path):
    """Whatever clients send, the log holds printable characters only and never their bytes."""
    d = echod(TCP4.service(tmp_path, "prefork", "epoll", workers=2),
              UDP4.service(tmp_path, "prefork", "epoll", workers=2),
              top={"log": {"level": "debug", "connections": True}})
    for i in range(20):
        s = d.connect()
        exchange(s, b"\x1b[31mSECRET\r\n\0" * 50)
        s.close()
    u = d.connect(d.services[1])
    u.send(b"\x1b[31mSECRET\r\n\0")
    u.recv(100)
    wait_for("the records", lambda: len(d.lines("connection service=")) == 20)
    assert "SECRET" not in d.log()
    assert not re.search(r"[^\x20-\x7e\n]", d.log())


def test_usr1_many_times(echod, tmp_path):
    """Each SIGUSR1 logs all services once; none is lost if they come with a pause."""
    d = echod(TCP4.service(tmp_path), UDP4.service(tmp_path, "prefork"))
    for i in range(20):
        counters = d.counters()
        assert set(counters) == {"echo-tcp", "echo-udp"}
    assert len(d.lines("counters service=echo-udp")) == 20
    names = list(counters["echo-tcp"])
    assert names[0] == "connections_active"
    assert list(counters["echo-udp"]) == names
