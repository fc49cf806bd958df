# SPDX-License-Identifier: ISC
"""Ten thousand clients that send and never read: each costs one buffer at most, nobody else
notices, and all are gone when write_timeout is over."""

import errno
import select
import socket
import struct
import time

import pytest

import procs
from grid import MANY_AT_ONCE, stream_grid
from harness import SLACK, SLOW, wait_for
from talk import exchange, payload, ping

pytestmark = [pytest.mark.slow, pytest.mark.serial]

BUFFER = 16384
TIMEOUT = 15.0 * SLOW


def sets_out(d, number):
    """NUMBER clients with small buffers, connected."""
    clients = []
    for _ in range(number):
        s = d.services[0].transport.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        s.settimeout(10.0 * SLOW)
        s.connect(d.services[0].address)
        s.setblocking(False)
        d.clients.append(s)
        clients.append(s)
    return clients


def stood_still(s):
    """For how long nothing has come, seconds: tcpi_last_data_recv.  (What the server's kernel
    has sent, and this one had no room for, is tried again for a while: that is progress.)"""
    info = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return struct.unpack_from("I", info, 52)[0] / 1000


def push(clients):
    """Send until all of them are stuck for a second."""
    block = bytes(BUFFER)
    with select.epoll() as poll:
        for s in clients:
            poll.register(s, select.EPOLLOUT | select.EPOLLET)
        by_number = {s.fileno(): s for s in clients}
        while True:
            ready = poll.poll(1.0, maxevents=1024)
            if not ready:
                return
            for fd, _ in ready:
                try:
                    while True:
                        by_number[fd].send(block)
                except BlockingIOError:
                    pass


def reaped(clients, pinger):
    """Wait until the server has reset each of them, pinging meanwhile; for how long they had
    stood still then, sorted."""
    when = {}
    by_number = {s.fileno(): s for s in clients}
    with select.epoll() as poll:
        for s in clients:
            poll.register(s, select.EPOLLERR | select.EPOLLET)
        end = time.monotonic() + TIMEOUT * SLACK
        while len(when) < len(clients):
            assert time.monotonic() < end, f"{len(when)} of {len(clients)} are gone"
            ping(pinger)
            for fd, events in poll.poll(0.05, maxevents=4096):
                if events & (select.EPOLLERR | select.EPOLLHUP):
                    when.setdefault(fd, stood_still(by_number[fd]))
    return sorted(when.values())


@stream_grid("tcp4", pairs=MANY_AT_ONCE)
def test_never_reading_crowd(echod, cell, tmp_path):
    number = 500 if cell.model in ("fork", "thread") else 10000 if cell.model == "iterative" else 3000
    d = echod(cell.service(tmp_path, buffer="16K", write_timeout=TIMEOUT, max_clients=2 * number,
                           socket={"SO_SNDBUF": BUFFER, "SO_RCVBUF": BUFFER}))
    honest = d.connect()
    exchange(d.connect(), payload(1 << 20))
    ping(honest)
    before = procs.private_kib(d.tree())
    clients = sets_out(d, number)
    push(clients)
    # A child of fork or a thread has pages of its own besides the buffer.
    each = 17 + {"fork": 2048, "thread": 64}.get(cell.model, 0)
    assert procs.private_kib(d.tree()) - before < (number * each + 8192) * SLOW
    ping(honest)
    start = time.monotonic()
    took = reaped(clients, honest)
    print(f"all gone after {time.monotonic() - start:.2f} s; each had stood still for"
          f"  {took[0]:.2f} to {took[-1]:.2f} s, median {took[len(took) // 2]:.2f}")
    assert took[0] >= 0.9 * TIMEOUT
    assert took[len(took) // 2] <= 1.1 * TIMEOUT * SLACK
    for s in clients:
        assert s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) in (errno.ECONNRESET, errno.EPIPE)
    wait_for("the counters", lambda: d.count("closed_write_timeout") == number, 5.0, step=0.2)
    exchange(d.connect(), payload(1 << 20))
