# SPDX-License-Identifier: ISC
"""How long a service serves nobody when all its workers are killed at once: from the kill until
a client that comes then has his answer.  Nothing else runs on the daemon meanwhile."""

import signal
import socket
import time

import procs
from chaos import YOUNG
from control import ask
from harness import SLACK, SLOW, stand_still, wait_for

PROMISE = 20.0  # ms: p99
HELLO = b"is anybody there?"


class Repairs:
    """The times that were measured, in ms, of each model and engine."""

    def __init__(self, daemon, control):
        self.daemon = daemon
        self.control = control
        self.times = {}

    def workers(self, service):
        status, = ask(self.control, "GetStatus", service=service.name)["services"]
        return status["workers"]

    def first_answer(self, service):
        with service.transport.socket() as s:
            if service.transport.datagram and s.family == socket.AF_UNIX:
                s.bind("")  # an address of its own, for the answer
            s.settimeout(10.0 * SLOW)
            s.connect(service.address)
            s.send(HELLO)
            answer = s.recv(len(HELLO) + 1)
        if answer != HELLO:
            raise AssertionError(f"{service.name}: {answer!r} is no echo of {HELLO!r}")

    def measure(self, service):
        """The killed stand still before, so that none of them answers in his last moment.  Only
        their first threads are looked at: what /proc/PID/task was asked for the kernel forgets
        while it reaps, and that may take milliseconds."""
        victims = [w["pid"] for w in self.workers(service)]
        stand_still(*victims)
        time.sleep(0.02)  # the others, too
        begin = time.monotonic()
        procs.send(signal.SIGKILL, *victims)
        self.first_answer(service)
        took = (time.monotonic() - begin) * 1000
        self.times.setdefault(f"{service.model}-{service.engine}", []).append(took)
        wait_for("all successors", lambda: all(
            w["up"] and w["pid"] not in victims for w in self.workers(service)), 5.0)

    def run(self, rounds):
        for _ in range(rounds):
            time.sleep(YOUNG)  # who dies young may have to wait for his successor
            for service in self.daemon.services:
                self.measure(service)

    def report(self):
        """Print them.  Returns whether the promise was kept, with the slack of a busy machine."""
        everything = [t for times in self.times.values() for t in times]
        for name, times in [*sorted(self.times.items()), ("all", everything)]:
            print(f"{name}: {line(times)}")
        return quantile(everything, 0.99) <= PROMISE * SLACK * SLOW


def quantile(times, q):
    return sorted(times)[min(len(times) - 1, int(len(times) * q))]


def line(times):
    return (f"{len(times)} repairs, p50 {quantile(times, 0.5):.1f} ms, p99 "
            f"{quantile(times, 0.99):.1f} ms, most {max(times):.1f} ms")
