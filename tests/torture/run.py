# SPDX-License-Identifier: ISC
"""One life: a daemon in which one call fails, with clients and a reload, and what must be true
of it all the same."""

import contextlib
import errno
import os
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import grid
import harness
import procs
from faults import BEFORE_THE_LOG, RINGS, SPARED, losses
from panel import Panel
from pid1 import Manager
from talk import payload

PATIENCE = 10.0        # seconds, for whatever should take a fraction of one
MOMENT = 1.0           # for what need not come: a line that the fault took from the log
AGAIN = 0.2            # until a client is served again, when nothing else has the machine
IDLE, BUSY = 0.1, 0.5  # seconds in which nothing is to be done; as much of them is a spin
LINES = 40             # of the log, in one life: a loop would say more
# READY=1 went with such a call, and it is not said again.
UNHEARD = {"sendmsg", "socket", "malloc", "fcntl"}
# Blocks of memory that a process may have more than usual: one that serves, for the next client;
# the supervisor for what it does each second, for the counters of who was replaced, and for libc's
# time zone, if it writes a line by itself as there is no logger yet
BLOCKS, EACH_SECOND, REPLACED, TIME_ZONE = 4, 2, 2, 5
BULK, SMALL = 65536, 300
SIZES = {"stream": (BULK, SMALL, BULK, 1), "datagram": (8000, SMALL)}


@dataclass(frozen=True)
class Fault:
    call: str
    error: str
    position: int

    def __str__(self):
        return f"{self.call}:{self.error}:{self.position}"


@dataclass
class Usual:
    """What the processes have when nobody is served: the supervisor's first."""
    descriptors: list
    blocks: list  # of memory; empty: not known

    @staticmethod
    def of(lives):
        """Of LIVES without a fault: the least, in case a client's process is still there, and the
        most memory that they had."""
        descriptors = min(x.descriptors for x in lives)
        blocks = [x.blocks for x in lives if len(x.blocks) == len(descriptors)]
        return Usual(descriptors, [max(x) for x in zip(*blocks)])


class Broken(Exception):
    """A promise was not kept."""


class Late(Broken):
    """A promise was not kept, or too late; but the machine may be to blame."""


def promise(condition, what):
    if not condition:
        raise Broken(what)


def until(what, condition, patience=PATIENCE):
    """Poll until CONDITION, and return its value."""
    end = time.monotonic() + patience * harness.SLOW
    while True:
        value = condition()
        if value:
            return value
        promise(time.monotonic() < end, f"not within {patience} s: {what}")
        time.sleep(0.01)


def keys_of(cell):
    """So that most calls are made: executors have their processors, and there are more clients
    than places, of whom one waits for the bell."""
    keys = {"cpus": sorted(os.sched_getaffinity(0))[:2]}
    if cell.model.startswith("pre"):
        keys["workers"] = 2
    if not cell.transport.datagram and not cell.one_at_a_time:
        keys["max_clients"] = 3
    return keys


class Life:
    """One daemon, from its start to its end; lives.py has more kinds, which differ in what they
    override."""
    name = "serve"
    calls = None  # those that are to fail in such a life; None: all

    def __init__(self, cell, directory, library, fault=None):
        self.cell, self.fault = cell, fault
        self.directory = directory
        self.trace = directory / "strace.log"
        self.began = 0.0
        self.first = set()  # processes
        self.killed = set()  # pids that the daemon is made to kill
        self.manager = Manager(directory / "notify")
        self.panel = None
        # The leak check traces its process, which has a tracer already, where strace(1) is.
        leaks = int(not (fault and fault.call in RINGS))
        prefix = ["env", f"ASAN_OPTIONS={os.environ.get('ASAN_OPTIONS', '')}"
                  f":verify_asan_link_order=0:detect_leaks={leaks}"]
        if fault and fault.call in RINGS:
            prefix += ["strace", "-f", "-qq", "--seccomp-bpf", "-o", str(self.trace),
                       "-e", f"trace={fault.call}", "-e", "signal=none", "-e",
                       f"inject={fault.call}:error={fault.error}:when={fault.position}"]
        else:
            self.panel = Panel(library, directory / "panel", fault)
            prefix += [f"{k}={v}" for k, v in self.panel.env.items()]
        self.service = self.make_service()
        self.daemon = harness.Daemon(
            self.services(), directory, self.top(), prefix=[*self.prefix(), *prefix],
            env={"NOTIFY_SOCKET": self.manager.address}, **self.options())

    # --- what there is

    @classmethod
    def fits(cls, cell):
        """Is there such a life in CELL?"""
        return bool(cell)

    def make_service(self):
        return self.cell.service(self.directory, **self.keys())

    def keys(self):
        """Of the service that has clients."""
        return keys_of(self.cell)

    def services(self):
        return [self.service]

    def top(self):
        """What stands in the file beside the services."""
        return {"process": {"nice": 1}}

    def prefix(self):
        """What stands before the command line."""
        return []

    def options(self):
        return {}

    def open(self):
        """Whatever is to be there before the daemon."""
        self.manager.open()

    def close(self):
        """And is to go after it."""
        self.daemon.destroy()
        self.manager.close()
        self.manager.forget()

    # --- its parts

    def supervisor(self):
        """Its pid: strace's child, where there is strace."""
        if not self.trace.exists():
            return self.daemon.pid
        return next(c for c, p in procs.parents().items() if p == self.daemon.pid)

    def ended(self):
        return self.daemon.process.poll() is not None

    def serves(self):
        """Has it said so?  The fault may have taken the line: then a client finds out."""
        return self.daemon.lines("ready: ") or (
            time.monotonic() > self.began + MOMENT * harness.SLOW and self.served())

    def start(self):
        """Returns whether it serves; if not it must have ended by itself and said why."""
        self.began = time.monotonic()
        self.daemon.spawn()
        until("that it serves or ends", lambda: self.ended() or self.serves())
        if not self.ended():
            return True
        code = self.daemon.process.returncode
        promise(code > 0, f"at the start it ended with {code}")
        promise(self.daemon.log().strip(), f"at the start it ended with {code} and no word")
        return False

    def exchange(self, size, exact):
        """One client.  Without EXACT its connection may be lost, but no byte may be wrong."""
        data = payload(size, size)
        got = b""
        try:
            with self.service.connect(PATIENCE) as s:
                got = self.datagram(s, data) if self.cell.transport.datagram \
                    else self.stream(s, data)
        except TimeoutError as e:
            promise(self.cell.transport.datagram, f"a client hangs: {e}")
        except OSError:
            pass
        promise(data.startswith(got), f"wrong bytes among {len(got)}")
        return len(got) == size or not exact

    @staticmethod
    def datagram(s, data):
        if s.family == socket.AF_UNIX:
            s.bind("")  # an abstract name of the kernel's choice, to answer to
        s.settimeout(0.3 * harness.SLOW)
        s.send(data)
        return s.recv(BULK)

    @staticmethod
    def stream(s, data):
        got = b""
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        while block := s.recv(BULK):
            got += block
        return got

    def clients(self, exact):
        """Some at once, in every way; returns how many were not served to the end."""
        sizes = SIZES["datagram" if self.cell.transport.datagram else "stream"]
        with ThreadPoolExecutor(len(sizes)) as pool:
            served = list(pool.map(lambda size: self.exchange(size, exact), sizes))
        return served.count(False)

    def served(self):
        return self.clients(exact=True) == 0

    def bystander(self):
        """A client that stays through it all, where there is room for one beside the others."""
        if self.cell.transport.datagram or self.cell.one_at_a_time:
            return None
        s = self.service.connect(PATIENCE)
        return s if self.says(s, b"before") else None

    @staticmethod
    def says(s, data):
        """Is DATA echoed to the client S?"""
        got = b""
        try:
            s.sendall(data)
            while len(got) < len(data) and (block := s.recv(len(data) - len(got))):
                got += block
        except TimeoutError:
            raise Broken("a client that was there before hangs") from None
        except OSError:
            pass
        promise(data.startswith(got), f"wrong bytes: {got!r}")
        return got == data

    @staticmethod
    def part(s):
        """The client S goes when it is told to."""
        with s, contextlib.suppress(ConnectionError):
            promise(s.recv(1) == b"", "a client that is to go has got something")

    def hangup(self):
        """A reload, whatever comes of it."""
        mark = self.daemon.mark()
        os.kill(self.supervisor(), signal.SIGHUP)
        try:
            until("the end of a reload", lambda: self.ended() or any(
                self.daemon.lines(x, mark) for x in ("reloaded: ", "reload failed")), MOMENT)
        except Broken:
            promise(self.fault, "a reload does not end")

    def descriptors(self):
        """How many the supervisor has, and each process below it; for lack of memory they may
        be without a title."""
        below = [len(procs.descriptors(p)) for p in procs.descendants(self.supervisor())]
        return [len(procs.descriptors(self.supervisor())), *sorted(n for n in below if n)]

    def blocks(self):
        """How many blocks of memory each of them has."""
        heaps = self.panel.heaps() if self.panel else {}
        below = (heaps.get(p) for p in procs.descendants(self.supervisor()))
        return [heaps[self.supervisor()], *sorted(n for n in below if n)] if heaps else []

    def most_blocks(self, usual):
        """How many they may have, if USUAL is what there is usually."""
        supervisor = usual.blocks[:1]
        if supervisor and time.monotonic() > self.began + 1:
            supervisor[0] += EACH_SECOND + len(self.daemon.services) - 1
        if supervisor and not self.first <= set(procs.descendants(self.supervisor())):
            supervisor[0] += REPLACED
        if supervisor and self.fault and self.fault.call in BEFORE_THE_LOG:
            supervisor[0] += TIME_ZONE
        return supervisor + [n + BLOCKS for n in usual.blocks[1:]]

    def stop(self):
        stays = self.bystander()
        os.kill(self.supervisor(), signal.SIGTERM)
        if stays:
            self.part(stays)
        self.wait_stopped()

    def wait_stopped(self):
        """It was told to stop."""
        try:
            code = self.daemon.process.wait(PATIENCE * harness.SLOW)
        except subprocess.TimeoutExpired:
            raise Broken("does not stop") from None
        promise(code == 0, f"exit code {code}")
        until("the end of its processes", lambda: not procs.session(self.daemon.pid))

    def idle(self):
        """Does nobody spin?"""
        def used():
            return procs.cpu_seconds([self.supervisor(), *procs.descendants(self.supervisor())])
        before = used()
        time.sleep(IDLE)
        return used() - before < BUSY * IDLE

    # --- the whole

    def serve(self):
        """Clients and a reload, in which most faults happen."""
        allowed = losses(self.fault.call, self.fault.error) if self.fault else 0
        self.first = set(procs.descendants(self.supervisor()))
        stays = self.bystander()
        lost = self.clients(exact=True)
        self.hangup()
        promise(not self.ended(), "ended by itself while it served")
        if stays:
            lost += not self.says(stays, b"after")
            stays.close()
        promise(allowed is None or lost <= allowed, f"{lost} clients lost their connections")

    def recover(self, usual):
        """All is soon as if nothing had happened.  Returns what there is then."""
        since = time.monotonic()
        until("an echo after the fault", self.served)
        took = time.monotonic() - since
        until("that it is idle", self.idle)
        until("that its service manager knows", lambda: self.manager.values("READY") or (
            self.fault and self.fault.call in UNHEARD))
        found = Usual(self.descriptors(), self.blocks())
        if usual:
            self.wait_for_usual(usual)
        return found, took

    def live(self, usual):
        """All of it.  USUAL: what there is in a life without a fault; None to find out.
        Returns whether the fault happened, and what there was."""
        found, took = None, 0
        self.open()
        try:
            if self.start():
                self.serve()
                found, took = self.recover(usual)
                self.stop()
            promise(found or self.fault, f"does not start: {self.daemon.log()[-400:]}")
            self.check_log()
        except Broken as e:
            if self.starved():
                raise Late(f"{e}; and there was no memory for a ring") from None
            raise
        finally:
            self.close()
        if took > AGAIN * harness.SLACK * harness.SLOW:
            raise Late(f"served again after {took:.1f} s")
        return self.happened(), found

    def starved(self):
        """The memory of rings is limited for all processes of a user together, so that other
        daemons may have it."""
        return self.cell.engine == "io_uring" and \
            os.strerror(errno.ENOMEM) in self.daemon.log()

    def wait_for_usual(self, usual):
        def as_usual():
            now = self.descriptors()
            return now == usual.descriptors or (
                self.fault.call in SPARED and len(now) == len(usual.descriptors)
                and all(n <= u for n, u in zip(now, usual.descriptors)))

        def no_more_memory():
            now, most = self.blocks(), self.most_blocks(usual)
            return len(now) != len(most) or all(n <= m for n, m in zip(now, most))
        try:
            until("descriptors as usual", as_usual)
            until("no more memory than usual", no_more_memory)
        except Broken as e:
            raise Broken(f"{e}: {self.descriptors()} and {self.blocks()}, {usual}") from None

    def check_log(self):
        log = self.daemon.log()
        bad = [x for x in log.splitlines() if harness.SANITIZER.search(x)]
        promise(not bad, f"sanitizer: {bad[:3]}")
        promise(len(log.splitlines()) <= LINES, f"{len(log.splitlines())} lines in the log")
        died = [x for x in log.splitlines() if "signal" in x and not any(
            f"pid={p}" in x or f"pid {p}" in x for p in self.killed)]
        promise(not died, f"a process died of a signal: {died[:3]}")
        errors = [x for x in log.splitlines() if " error: " in x]
        promise(not errors or not self.fault or losses(self.fault.call, self.fault.error) is None,
                f"an error in the log: {errors[:3]}")

    def happened(self):
        if not self.fault:
            return False
        if self.panel:
            return self.panel.happened()
        return "(INJECTED)" in self.trace.read_text(errors="replace")


def cells():
    """The grid over the transports that differ in code."""
    found = [grid.Cell(m, e, grid.TRANSPORTS[t]) for m, e in grid.STREAM_PAIRS
             for t in ("tcp4", "unix")]
    return found + [grid.Cell(m, e, grid.TRANSPORTS[t]) for m, e in grid.DATAGRAM_PAIRS
                    for t in ("udp4", "unix-dgram")]
