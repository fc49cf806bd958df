# SPDX-License-Identifier: ISC
"""A crowd of clients that send and never read: each costs one buffer at most, nobody else
notices, and each is gone when it has stood still for write_timeout.

When that is tells the server's host.  It is often its kernel that ends such a connection
(TCP_USER_TIMEOUT), and that sends nothing then: the client is told when it probes again, which is
up to two minutes later."""

import os
import select
import socket
import struct
import subprocess
import time

import pytest

import procs
from grid import MANY_AT_ONCE, stream_grid
from harness import SLACK, SLOW, wait_for
from talk import exchange, payload, ping

pytestmark = [pytest.mark.slow, pytest.mark.serial]

CROWD = int(os.environ.get("ECHOD_TEST_CROWD", "2000"))
FEW = 300  # for a process or a thread each
BUFFER = 16384
TIMEOUT = max(5.0, CROWD / 400) * SLOW
SAMPLE = 0.2  # seconds between looks at what the server has


class Crowd:
    """Clients that send whenever they can and never read, and what became of each."""

    def __init__(self, d, number):
        self.port = d.services[0].address[1]
        self.waiting = {}  # by port, while the server has them
        self.senders = {}  # by descriptor, while they may send
        self.took = []     # for how long who is gone had taken no byte
        self.sampled = 0.0  # when
        self.poll = select.epoll()
        for _ in range(number):
            s = d.services[0].transport.socket()
            s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
            s.settimeout(10.0 * SLOW)
            s.connect(d.services[0].address)
            s.setblocking(False)
            d.clients.append(s)
            self.waiting[s.getsockname()[1]] = self.senders[s.fileno()] = s
            self.poll.register(s, select.EPOLLOUT | select.EPOLLET)

    def close(self):
        self.poll.close()

    def look(self, seconds):
        """Wait for SECONDS at most; who can sends.  Returns whether one could."""
        if time.monotonic() > self.sampled + SAMPLE:
            self.sample()
        ready = self.poll.poll(seconds, maxevents=1024)
        for fd, _ in ready:
            try:
                while True:
                    self.senders[fd].send(bytes(BUFFER))
            except BlockingIOError:
                pass
            except OSError:  # it was told
                self.poll.unregister(fd)
        return bool(ready)

    def sample(self):
        """Who is gone?"""
        there = self.connections()
        self.sampled = time.monotonic()
        for port in self.waiting.keys() - there:
            self.took.append(stood_still(self.waiting.pop(port)))

    def connections(self):
        """The ports of the clients that the server has."""
        said = subprocess.run(["ss", "-Htn", "state", "established", "sport", "=", f":{self.port}"],
                              text=True, capture_output=True, check=True)
        return {int(line.split()[3].rpartition(":")[2]) for line in said.stdout.splitlines()}


def stood_still(s):
    """For how long nothing has come, seconds: tcpi_last_data_recv, tcp(7)."""
    info = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return struct.unpack_from("=I", info, 52)[0] / 1000


@stream_grid("tcp4", pairs=MANY_AT_ONCE)
def test_never_reading_crowd(echod, cell, tmp_path):
    number = FEW if cell.model in ("fork", "thread") else CROWD
    d = echod(cell.service(tmp_path, buffer="16K", write_timeout=TIMEOUT, max_clients=2 * number,
                           socket={"SO_SNDBUF": BUFFER, "SO_RCVBUF": BUFFER}))
    honest = d.connect()
    exchange(d.connect(), payload(1 << 20))
    ping(honest)
    before = procs.private_kib(d.tree())
    crowd = Crowd(d, number)
    try:
        while crowd.look(1.0):
            pass
        # A child of fork or a thread has pages of its own besides the buffer.
        each = 17 + {"fork": 2048, "thread": 64}.get(cell.model, 0)
        assert procs.private_kib(d.tree()) - before < (number * each + 8192) * SLOW
        end = time.monotonic() + TIMEOUT * SLACK
        while crowd.waiting:
            assert time.monotonic() < end, f"{len(crowd.waiting)} of {number} are left"
            ping(honest)
            crowd.look(0.05)
    finally:
        crowd.close()
    took = sorted(crowd.took)
    print(f"write_timeout {TIMEOUT:.0f} s; {number} clients had stood still for {took[0]:.2f} to"
          f" {took[-1]:.2f} s, median {took[number // 2]:.2f}, {took[number * 99 // 100]:.2f} for 99 %")
    assert took[0] >= 0.9 * TIMEOUT
    wait_for("the counters", lambda: d.count("closed_write_timeout") == number, 5.0, step=0.2)
    exchange(d.connect(), payload(1 << 20))
