# SPDX-License-Identifier: ISC
"""What runs in a soak: a service for every model and engine, in one daemon, and a program with
verified load (load.c) for each."""

import os
import queue
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "blackbox"))

import grid  # noqa: E402
import procs  # noqa: E402

PLACES_MANY, PLACES_FEW, PLACES_DATAGRAM = 24, 8, 4
NICE = 15  # behind the daemon's: a real client has processors of its own

# All pairs over IPv4, and some of them over each other transport.
CELLS = (
    [(m, e, "tcp4") for m, e in grid.STREAM_PAIRS] +
    [(m, e, "udp4") for m, e in grid.DATAGRAM_PAIRS] +
    [("prefork", "epoll", "tcp6"), ("fork", "blocking", "unix"), ("prethread", "epoll", "unix"),
     ("prefork", "io_uring", "unix"), ("prethread", "epoll", "udp6"),
     ("prefork", "epoll", "unix-dgram"), ("iterative", "blocking", "unix-dgram")])


def services(directory):
    """The services of a soak."""
    made = []
    refused = grid.io_uring_refused()
    for model, engine, transport in CELLS:
        if engine == "io_uring" and refused:
            continue
        keys = {"name": f"{model}-{engine}-{transport}"}
        if model in ("prefork", "prethread"):
            keys["workers"] = 2
        t = grid.TRANSPORTS[transport]
        if t.protocol == "udp":
            keys["udp"] = {"rate": 0, "batch": 64}
        service = t.service(directory, model, engine, **keys)
        if transport.startswith("unix"):
            service.listen = service.address = str(directory / f"{keys['name']}.sock")
        made.append(service)
    return made


def compile_load(directory):
    """The load's program."""
    program = directory / "load"
    subprocess.run([os.environ.get("CC", "cc"), "-std=gnu17", "-O2", "-Wall", "-Wextra", "-Werror",
                    "-o", str(program), *[str(HERE / f"{x}.c") for x in (
                        "load", "stream", "dgram")]], check=True)
    return program


@dataclass
class Loss:
    """A connection that the other side ended, or a datagram without an answer."""
    service: object
    key: int       # the client's port, or the inode of its socket
    kind: str
    why: str       # eof | reset | silence | ...
    opened: int    # ns
    noticed: int   # ns
    total: int     # bytes
    sent: int
    got: int

    def __str__(self):
        return (f"{self.service.name}: {self.kind} {self.key}: {self.why} after {self.got} of "
                f"{self.sent} sent of {self.total} bytes, "
                f"{(self.noticed - self.opened) / 1e6:.1f} ms old, at {self.noticed / 1e9:.4f}")


class Load:
    """The load of one service."""

    def __init__(self, program, service, number, seed, events):
        self.service = service
        self.events = events
        self.begun = self.done = self.reset = self.lost = self.late = self.bytes = 0
        t = service.transport
        few = service.engine == "blocking" and service.model not in ("fork", "thread")
        place = service.address if t.name.startswith("unix") else str(service.address[1])
        places = PLACES_DATAGRAM if t.datagram else PLACES_FEW if few else PLACES_MANY
        self.process = subprocess.Popen(
            [str(program), t.name, place, str(places), "one" if few else "many", str(number),
             str(seed)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            preexec_fn=lambda: os.nice(NICE))
        self.thread = threading.Thread(target=self.read, daemon=True)
        self.thread.start()

    def read(self):
        for line in self.process.stdout:
            words = line.split()
            if not line.endswith("\n"):
                return  # it was killed
            if words[0] == "count":
                (self.begun, self.done, self.reset, self.lost, self.late,
                 self.bytes) = map(int, words[1:])
            elif words[0] == "lost":
                key, kind, why, opened, noticed, total, sent, got, _ = words[1:]
                self.events.put(Loss(self.service, int(key), kind, why, int(opened), int(noticed),
                                     int(total), int(sent), int(got)))
            else:
                self.events.put(f"{self.service.name}: {line.strip()}")

    def reset_all(self):
        self.process.stdin.write("reset\n")
        self.process.stdin.flush()

    def hush(self):
        """Begin nothing more."""
        if not self.process.stdin.closed:
            self.process.stdin.close()

    def stop(self, patience):
        """Let it end what it has begun."""
        self.hush()
        try:
            code = self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self.thread.join()
        if code:
            self.events.put(f"{self.service.name}: its load ended with {code}")


class Fleet:
    """All loads together."""

    def __init__(self, program, services, seed):
        self.events = queue.SimpleQueue()
        self.loads = [Load(program, s, i + 1, seed, self.events) for i, s in enumerate(services)]

    def of(self, datagram):
        return [x for x in self.loads if x.service.transport.datagram == datagram]

    def connections(self):
        return sum(x.done + x.reset + x.lost for x in self.of(False))

    def datagrams(self):
        return sum(x.done for x in self.of(True))

    def broken(self):
        """A load that has ended by itself."""
        return [x.service.name for x in self.loads
                if x.process.poll() is not None and not x.process.stdin.closed]

    def stop(self, patience=120):
        for x in self.loads:
            x.hush()
        for x in self.loads:
            x.stop(patience)

    def drain_events(self):
        """What was told so far: losses, and texts for what must never be."""
        found = []
        while not self.events.empty():
            found.append(self.events.get())
        return found


def snapshot(daemon):
    """What the daemon has: {title: [(descriptors, threads), ...]}, and {title: memory in KiB},
    in whose sum each page that is shared counts once."""
    found, memory = {}, {}
    for pid in daemon.tree():
        title = procs.title(pid)
        found.setdefault(title, []).append((len(procs.descriptors(pid)), procs.threads(pid)))
        memory[title] = memory.get(title, 0) + procs.pss_kib(pid)
    return {k: sorted(v) for k, v in found.items()}, memory
