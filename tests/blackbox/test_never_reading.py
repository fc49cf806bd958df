# SPDX-License-Identifier: ISC
"""A crowd of clients that send and never read: each costs one buffer at most, nobody else
notices, and each is gone when it has stood still for write_timeout.

ECHOD_TEST_CROWD=10000 is the number for those that serve many in one process.  So many have more
in the kernel's buffers than a machine of 16 GiB lets TCP use (tcp_mem, tcp(7)): it drops segments,
and their senders try again after up to two minutes.  That takes longer and shows the same."""

import errno
import os
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

CROWD = int(os.environ.get("ECHOD_TEST_CROWD", "2000"))
FEW = 300  # for a process or a thread each
BUFFER = 16384
TIMEOUT = max(5.0, CROWD / 400) * SLOW
SAMPLE = 0.5  # seconds between looks at what each has sent


class Crowd:
    """Clients that send whenever they can and never read, and what became of each."""

    def __init__(self, d, number):
        self.waiting = {}  # by descriptor, until it is reset
        self.sent = {}     # (bytes that the server's kernel has taken, when that was seen last)
        self.unread = []   # for how long who was reset had taken no byte
        self.still = []    # for how long no byte had moved either way
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
            self.waiting[s.fileno()] = s
            self.poll.register(s, select.EPOLLOUT | select.EPOLLET)

    def close(self):
        self.poll.close()

    def look(self, seconds):
        """Wait for SECONDS at most; who can sends, who was reset is gone.  Returns whether one
        could send."""
        if time.monotonic() > self.sampled + SAMPLE:
            self.sample()
        moved = False
        for fd, events in self.poll.poll(seconds, maxevents=1024):
            s = self.waiting[fd]
            try:
                if events & (select.EPOLLERR | select.EPOLLHUP):
                    error = s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                    raise OSError(error, os.strerror(error))
                moved = True
                while True:
                    s.send(bytes(BUFFER))
            except BlockingIOError:
                pass
            except (ConnectionResetError, BrokenPipeError):
                self.gone(fd)
        return moved

    def sample(self):
        """Nobody may stand still for much longer than the timeout."""
        self.sampled = now = time.monotonic()
        for fd, s in self.waiting.items():
            unread, acked = tcp_info(s)
            if self.sent.get(fd, (-1, 0.0))[0] != acked:
                self.sent[fd] = (acked, now)
            still = min(unread, now - self.sent[fd][1])
            assert still < TIMEOUT * SLACK, f"{len(self.waiting)} are left"

    def gone(self, fd):
        self.poll.unregister(fd)
        unread = tcp_info(self.waiting.pop(fd))[0]
        self.unread.append(unread)
        self.still.append(min(unread, time.monotonic() - self.sent[fd][1]))


def tcp_info(s):
    """(seconds without data from the server, bytes that it has acknowledged): tcp(7)."""
    info = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 128)
    return struct.unpack_from("=I", info, 52)[0] / 1000, struct.unpack_from("=Q", info, 120)[0]


def text(took):
    took = sorted(took)
    return f"{took[0]:.2f} to {took[-1]:.2f} s, median {took[len(took) // 2]:.2f}"


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
        start = time.monotonic()
        while crowd.waiting:
            ping(honest)
            crowd.look(0.05)
    finally:
        crowd.close()
    print(f"all gone after {time.monotonic() - start:.2f} s; each had read nothing for"
          f" {text(crowd.unread)}, and nothing had moved for {text(crowd.still)}")
    assert min(crowd.unread) >= 0.9 * TIMEOUT
    wait_for("the counters", lambda: d.count("closed_write_timeout") == number, 5.0, step=0.2)
    exchange(d.connect(), payload(1 << 20))
