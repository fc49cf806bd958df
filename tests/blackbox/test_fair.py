# SPDX-License-Identifier: ISC
"""Who sends as much as goes takes no more than his turn, of one buffer, from a thousand who say
little, in one executor for all.  How long they wait is printed: it is the client's time too."""

import select
import socket
import time
from contextlib import contextmanager

import pytest

from echoc import start
from grid import stream_grid
from harness import SLOW, wait_for

CLIENTS, FIREHOSES = 1000, 4
SECONDS = 2.0
PIPE = 256  # KiB that each firehose has under way: its bytes never end


class Pinger:
    """Asks again as soon as it is answered."""

    def __init__(self, sock):
        self.sock = sock
        self.echoes = 0
        self.since = 0.0

    def ask(self, now):
        self.since = now
        self.sock.send(b"ping")


def rates(pingers):
    """For SECONDS: how often each is answered, and how long each answer takes, sorted."""
    poll = select.epoll()
    at = {p.sock.fileno(): p for p in pingers}
    for fd in at:
        poll.register(fd, select.EPOLLIN)
    waits = []
    begin = now = time.monotonic()
    for p in pingers:
        p.echoes = 0
        p.ask(now)
    while now < begin + SECONDS:
        for fd, _ in poll.poll(0.1):
            p = at[fd]
            assert p.sock.recv(100) == b"ping"
            now = time.monotonic()
            waits.append(now - p.since)
            p.echoes += 1
            p.ask(now)
        now = time.monotonic()
    for p in pingers:  # what is under way comes back: all are as before
        p.sock.setblocking(True)
        assert p.sock.recv(100) == b"ping"
    poll.close()
    return [p.echoes for p in pingers], sorted(waits)


def jain(shares):
    """Jain's index of fairness: 1 if all have the same, 1/n if one has everything."""
    return sum(shares) ** 2 / (len(shares) * sum(x * x for x in shares))


@contextmanager
def firehoses(port):
    """FIREHOSES connections of a program in C that is faster than any echo."""
    fire = start("load", "-q", "-c", FIREHOSES, "-s", "64K", "-w", PIPE // 64, "-d", 600,
                 "--timeout", 60, "127.0.0.1", port)
    try:
        yield fire
        assert fire.poll() is None
    finally:
        fire.terminate()
        fire.communicate(timeout=30 * SLOW)


@pytest.mark.slow
@pytest.mark.serial
@stream_grid("tcp4", pairs=[("iterative", "epoll"), ("iterative", "io_uring")])
def test_firehose_beside_pingers(echod, cell, tmp_path):
    """All pingers are answered about as often as each other, with firehoses and without."""
    d = echod(cell.service(tmp_path, max_clients=CLIENTS + FIREHOSES))
    pingers = [Pinger(d.connect()) for _ in range(CLIENTS)]
    wait_for("all clients", lambda: d.count("connections_active") == CLIENTS, 2.0)
    alone, quiet = rates(pingers)
    with firehoses(d.services[0].address[1]):
        wait_for("the firehoses", lambda: d.count("bytes_in") > sum(alone) * 4 + (64 << 20), 3.0)
        before = d.count("bytes_in")
        beside, busy = rates(pingers)
        fire = d.count("bytes_in") - before
    for name, shares, waits in (("alone", alone, quiet), ("beside firehoses", beside, busy)):
        print(f"{name}: {sum(shares) / SECONDS:.0f} echoes/s, Jain's index {jain(shares):.4f}, "
              f"p50 {waits[len(waits) // 2] * 1e3:.1f} ms, p99 {waits[len(waits) * 99 // 100] * 1e3:.1f} ms, "
              f"most {waits[-1] * 1e3:.1f} ms")
    print(f"firehoses: {fire / SECONDS / 1e6:.0f} MB/s")
    assert fire > 10 << 20
    assert min(beside) > 0
    assert jain(beside) >= 0.9
