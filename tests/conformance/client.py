# SPDX-License-Identifier: ISC
"""Whom the checks ask, and how: sockets, conversations, floods."""

import os
import random
import select
import socket
import struct
import time
from dataclasses import dataclass
from functools import cached_property

import wire
from rows import Fail, NotApplicable, require

PATIENCE = 5.0  # seconds for an answer that must come
SILENCE = 0.5   # seconds in which one that must not come would have come
CHUNK = 1 << 16

# What a check may need, and how it is said when it is not there.
NEEDS = {
    "tcp": "no TCP port was given",
    "udp": "no UDP port was given",
    "ipv4": "the server's address is not IPv4",
    "ipv6": "no IPv6 address was given (--ipv6)",
    "second": "no second address of the server was given (--second)",
    "other": "no second address of ours was given (--other)",
    "raw": "needs CAP_NET_RAW",
    "bind": "needs CAP_NET_BIND_SERVICE",
    "hostile": "hostile: only with --hostile, against a server of one's own",
}


@dataclass(frozen=True)
class Target:
    """The server, and our own addresses."""
    host: str
    tcp: int = 0         # ports; 0: not served
    udp: int = 0
    second: str = ""     # another address of the server's
    ipv6: str = ""       # an IPv6 address of the server's, and another one
    second6: str = ""
    source: str = ""     # our address; "": what the kernel takes
    other: str = ""      # another address of ours: that of an honest client
    pids: tuple = ()     # the server's processes, where it runs on this machine
    hostile: bool = False

    def problem(self, need):
        """Why NEED is not met, or ""."""
        met = {"tcp": self.tcp, "udp": self.udp, "ipv4": ":" not in self.host,
               "ipv6": self.ipv6 or ":" in self.host, "second": self.second,
               "other": self.other, "hostile": self.hostile,
               "raw": need == "raw" and wire.may_make_packets(),
               "bind": need == "bind" and wire.may_bind_low()}
        return "" if met[need] else NEEDS[need]

    @cached_property
    def six(self):
        return self.ipv6 or self.host

    @cached_property
    def own(self):
        """Our address as the server sees it."""
        if self.source:
            return self.source
        with socket.socket(family(self.host), socket.SOCK_DGRAM) as s:
            s.connect((self.host, self.udp or self.tcp))
            return s.getsockname()[0]

    @cached_property
    def interface(self):
        """(name, broadcast address) of the interface that leads to the server."""
        name, broadcast = wire.interface_of(self.own)
        if not name:
            raise NotApplicable("the interface to the server is not known")
        return name, broadcast

    # --- streams

    def connect(self, host="", source="", receive=0, patience=PATIENCE):
        """A connected stream; RECEIVE: the size of its receive buffer."""
        host = host or self.host
        s = socket.socket(family(host), socket.SOCK_STREAM)
        try:
            s.settimeout(patience)
            if receive:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
            source = source or ("" if ":" in host else self.source)
            if source:
                s.bind((source, 0))
            s.connect((host, self.tcp))
            return s
        except OSError:
            s.close()
            raise

    def lives(self, source=""):
        """The honest client of another address, or of SOURCE: it must be served."""
        try:
            with self.connect(source=source or self.other) as s:
                ping(s, fresh(1000))
        except (OSError, Fail) as e:
            raise Fail(f"serves nobody then: {why(e)}") from None

    # --- datagrams

    def datagram(self, source="", port=0, host=""):
        """A socket that is not connected: it hears an answer from any address."""
        host = host or self.host
        s = socket.socket(family(host), socket.SOCK_DGRAM)
        try:
            s.settimeout(PATIENCE)
            s.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            source = source or ("" if ":" in host else self.source)
            s.bind((source or ("::" if ":" in host else ""), port))
            return s
        except OSError:
            s.close()
            raise

    def ask(self, s, data, host="", anyone=False):
        """One datagram over S must come back, from the address asked or from ANYONE."""
        host = host or self.host
        s.sendto(data, (host, self.udp))
        try:
            back, sender = s.recvfrom(CHUNK)
        except TimeoutError:
            raise Fail("no answer") from None
        if back != data:
            require(data.startswith(back), "other bytes came back")
            raise Fail(f"{len(back):,} of {len(data):,} bytes")
        require(anyone or sender[:2] == (host, self.udp), f"{sender[0]} answers")

    def answers(self, source=""):
        """The honest client of another address, or of SOURCE, for datagrams."""
        with self.datagram(source=source or self.other) as s:
            try:
                self.ask(s, fresh(100), anyone=True)
            except Fail as e:
                raise Fail(f"serves nobody then: {e}") from None

    # --- the server's process

    def memory(self):
        """MiB that the server's processes have for themselves; 0 where that is not known."""
        kib = 0
        for pid in {p for top in self.pids for p in (top, *descendants(top))}:
            try:
                with open(f"/proc/{pid}/smaps_rollup") as f:
                    kib += sum(int(line.split()[1]) for line in f if line.startswith("Private_"))
            except (FileNotFoundError, ProcessLookupError, PermissionError):
                pass
        return kib / 1024


def why(error):
    """An error in the words of strerror(3), without its number."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def family(host):
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def fresh(size):
    """SIZE bytes as never before: nobody takes them for a loop's."""
    return random.randbytes(size)


def descendants(pid):
    """Every process below PID."""
    below = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as f:
                parent = int(f.read().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        below.setdefault(parent, []).append(int(name))
    found = list(below.get(pid, []))
    for child in found:
        found.extend(below.get(child, []))
    return found


def exactly(s, size):
    """SIZE bytes of S, or what came until its end or until patience did."""
    got = bytearray()
    while len(got) < size:
        try:
            part = s.recv(min(CHUNK, size - len(got)))
        except TimeoutError:
            break
        if not part:
            break
        got += part
    return bytes(got)


def ping(s, data):
    """DATA and back."""
    s.sendall(data)
    back = exactly(s, len(data))
    require(back == data, "other bytes" if len(back) == len(data)
            else f"{len(back):,} of {len(data):,} bytes")


def converse(s, data, patience=PATIENCE):
    """Send DATA while its echo is read, end our side, and read to the end of the stream.
    Nothing for PATIENCE seconds is a failure."""
    s.setblocking(False)
    sent = got = 0
    data = memoryview(data)
    open_for_writing = True
    while True:
        if open_for_writing and sent == len(data):
            s.shutdown(socket.SHUT_WR)
            open_for_writing = False
        ready = select.select([s], [s] if open_for_writing else [], [], patience)
        if ready == ([], [], []):
            raise Fail(f"{got:,} of {len(data):,} bytes" if got < len(data)
                       else "all bytes, but no end of file")
        try:
            if ready[1]:
                sent += s.send(data[sent:sent + CHUNK])
            if not ready[0]:
                continue
            part = s.recv(CHUNK)
        except OSError as e:
            raise Fail(f"{why(e)} after {got:,} bytes") from None
        if not part:
            break
        require(part == data[got:got + len(part)], f"other bytes from {got} on")
        got += len(part)
    require(got == len(data), f"the end after {got:,} of {len(data):,} bytes")
    s.settimeout(PATIENCE)


def push(s, data, most, quiet=0.5):
    """Send DATA again and again and read nothing, until nothing more goes for QUIET seconds or
    MOST bytes went.  Returns how many."""
    s.setblocking(False)
    data = memoryview(data)
    sent = 0
    while sent < most and select.select([], [s], [], quiet)[1]:
        place = sent % len(data)
        try:
            sent += s.send(data[place:place + CHUNK])
        except BlockingIOError:
            continue
    s.settimeout(PATIENCE)
    return sent


def reset(s):
    """Close with RST."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def silent(s, seconds=SILENCE):
    """Nothing comes over S for so long."""
    return not select.select([s], [], [], seconds)[0]


def drain(s):
    """What waits in a datagram socket: how many, and how many bytes."""
    s.setblocking(False)
    count = size = 0
    try:
        while True:
            size += len(s.recv(CHUNK))
            count += 1
    except BlockingIOError:
        return count, size
    finally:
        s.settimeout(PATIENCE)
