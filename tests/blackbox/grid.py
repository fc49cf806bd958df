# SPDX-License-Identifier: ISC
"""The grid: every valid model x engine x transport, as parameters of a test."""

import functools
import socket
import subprocess
import tempfile
from dataclasses import dataclass

import pytest

from harness import ECHOD, Service, free_port

IPPROTO_MPTCP = 262

SERVES = [(m, e) for m in ("iterative", "prefork", "prethread")
          for e in ("blocking", "epoll", "io_uring")]
STREAM_PAIRS = SERVES + [("fork", "blocking"), ("thread", "blocking")]
DATAGRAM_PAIRS = SERVES


@dataclass(frozen=True)
class Transport:
    """How a client and a service reach each other."""
    name: str
    protocol: str
    family: int
    kind: int
    ipproto: int = 0
    host: str = ""

    def socket(self):
        return socket.socket(self.family, self.kind, self.ipproto)

    def place(self, directory, port=None):
        """(what `listen` says, what connect() takes) for a new service."""
        if self.family == socket.AF_UNIX:
            path = str(directory / f"{self.protocol}.sock")
            return path, path
        port = port or free_port()
        text = f"[{self.host}]:{port}" if ":" in self.host else f"{self.host}:{port}"
        return text, (self.host, port)

    def service(self, directory, model="prefork", engine="auto", port=None, **keys):
        listen, address = self.place(directory, port)
        return Service(self.protocol, listen, model, engine, self, address, keys)

    @property
    def datagram(self):
        return self.kind == socket.SOCK_DGRAM


TRANSPORTS = {t.name: t for t in (
    Transport("tcp4", "tcp", socket.AF_INET, socket.SOCK_STREAM, 0, "127.0.0.1"),
    Transport("tcp6", "tcp", socket.AF_INET6, socket.SOCK_STREAM, 0, "::1"),
    Transport("unix", "unix", socket.AF_UNIX, socket.SOCK_STREAM),
    Transport("mptcp4", "mptcp", socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP, "127.0.0.1"),
    Transport("mptcp6", "mptcp", socket.AF_INET6, socket.SOCK_STREAM, IPPROTO_MPTCP, "::1"),
    Transport("udp4", "udp", socket.AF_INET, socket.SOCK_DGRAM, 0, "127.0.0.1"),
    Transport("udp6", "udp", socket.AF_INET6, socket.SOCK_DGRAM, 0, "::1"),
    Transport("unix-dgram", "unix-dgram", socket.AF_UNIX, socket.SOCK_DGRAM),
)}
TCP4, UDP4 = TRANSPORTS["tcp4"], TRANSPORTS["udp4"]
STREAMS = ("tcp4", "tcp6", "unix", "mptcp4", "mptcp6")
DATAGRAMS = ("udp4", "udp6", "unix-dgram")


@dataclass(frozen=True)
class Cell:
    """One cell of the grid."""
    model: str
    engine: str
    transport: Transport

    @property
    def one_at_a_time(self):
        """Does an executor serve one client to its end before it takes the next?"""
        return self.engine == "blocking" and self.model not in ("fork", "thread")

    @property
    def executors(self):
        """Clients that are served at the same time at most, 0 for many."""
        if not self.one_at_a_time:
            return 0
        return 1 if self.model == "iterative" else 3

    def service(self, directory, **keys):
        if self.model in ("prefork", "prethread"):
            keys.setdefault("workers", 3)
        return self.transport.service(directory, self.model, self.engine, **keys)

    def __str__(self):
        return f"{self.model}-{self.engine}-{self.transport.name}"


def have_mptcp():
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP).close()
        return True
    except OSError:
        return False


@functools.cache
def io_uring_refused():
    """Why there can be no engine io_uring here, or ""."""
    with tempfile.TemporaryDirectory() as directory:
        r = subprocess.run([ECHOD, "--check", "--listen", f"unix:{directory}/s", "--model",
                            "iterative", "--engine", "io_uring"], capture_output=True, text=True,
                           check=False)
    return r.stderr.strip() if r.returncode else ""


def usable(pairs):
    """Those of PAIRS whose engine can be used here."""
    return [p for p in pairs if p[1] != "io_uring" or not io_uring_refused()]


def auto_engine():
    """What "auto" means where an executor serves many."""
    return "epoll" if io_uring_refused() else "io_uring"


def _cells(pairs, names, quick):
    mptcp = have_mptcp()
    for model, engine in pairs:
        for name in names:
            marks = []
            if "thread" in model:
                marks.append(pytest.mark.threads)
            if name.startswith("mptcp") and not mptcp:
                marks.append(pytest.mark.skip(reason="the kernel has no MPTCP"))
            if engine == "io_uring" and io_uring_refused():
                marks.append(pytest.mark.skip(reason=io_uring_refused()))
            if quick is not None and name not in quick:
                marks.append(pytest.mark.slow)
            cell = Cell(model, engine, TRANSPORTS[name])
            yield pytest.param(cell, id=str(cell), marks=marks)


def stream_grid(*names, pairs=None, quick=None):
    """Parametrise a test with `cell` over the stream pairs; all transports by default, those
    that are not in QUICK marked slow."""
    return pytest.mark.parametrize(
        "cell", list(_cells(pairs or STREAM_PAIRS, names or STREAMS, quick)))


def datagram_grid(*names, pairs=None, quick=None):
    """The same for datagrams."""
    return pytest.mark.parametrize(
        "cell", list(_cells(pairs or DATAGRAM_PAIRS, names or DATAGRAMS, quick)))


MANY_AT_ONCE = [p for p in STREAM_PAIRS if p[1] != "blocking" or p[0] in ("fork", "thread")]
