# SPDX-License-Identifier: ISC
"""Clients that check every byte: one poll loop drives any number of them."""

import errno
import random
import select
import socket
import struct
import time

from harness import SLACK, SLOW

CHUNK = 65536


def payload(size, seed=0):
    """SIZE bytes that no other seed gives."""
    return random.Random(f"{seed}/{size}").randbytes(size)


class Talker:
    """One conversation: send `data`, shut down, and get exactly `data` and the end of file."""

    def __init__(self, sock, data, *, late=False, shutdown=True, step=CHUNK):
        self.sock = sock
        self.data = memoryview(data)
        self.sent = 0
        self.got = 0
        self.late = late            # read nothing before writing is finished or stands still
        self.shutdown = shutdown    # else done when all is back
        self.step = step            # bytes a call
        self.finished_writing = False
        self.problem = None
        self.done = False
        self.last_write = time.monotonic()
        sock.setblocking(False)
        if not data:
            self._written()

    def _written(self):
        self.finished_writing = True
        self.late = False
        if self.shutdown:
            self.sock.shutdown(socket.SHUT_WR)

    def events(self):
        wanted = 0 if self.finished_writing else select.EPOLLOUT
        if self.late and time.monotonic() > self.last_write + 0.2:
            self.late = False
        return wanted if self.late else wanted | select.EPOLLIN

    def write(self):
        try:
            n = self.sock.send(self.data[self.sent:self.sent + self.step])
        except BlockingIOError:
            return
        self.last_write = time.monotonic()
        self.sent += n
        if self.sent == len(self.data):
            self._written()

    def read(self):
        try:
            block = self.sock.recv(self.step)
        except BlockingIOError:
            return
        if not block:
            self.done = True
            if self.got != len(self.data):
                self.problem = f"end of file after {self.got} of {len(self.data)} bytes"
            elif not self.finished_writing:
                self.problem = "end of file before ours"
            return
        if block != self.data[self.got:self.got + len(block)]:
            self.problem = self._damage(block)
            return
        self.got += len(block)
        if not self.shutdown and self.got == len(self.data):
            self.done = True

    def _damage(self, block):
        wanted = self.data[self.got:self.got + len(block)]
        for i, byte in enumerate(block):
            if i >= len(wanted) or byte != wanted[i]:
                return f"byte {self.got + i} of {len(self.data)} is wrong"
        return "impossible"

    def step_once(self, events):
        try:
            if events & select.EPOLLOUT and not self.finished_writing:
                self.write()
            if events & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
                self.read()
        except OSError as e:
            self.problem = f"{errno.errorcode[e.errno]} after {self.got} of {len(self.data)} bytes"


def converse(talkers, promise=10.0):
    """Drive TALKERS until each is done; returns the list of problems.  Sockets stay open."""
    poll = select.epoll()
    waiting = {}
    mask = {}
    for t in talkers:
        waiting[t.sock.fileno()] = t
        mask[t.sock.fileno()] = t.events()
        poll.register(t.sock.fileno(), mask[t.sock.fileno()])
    end = time.monotonic() + promise * SLACK * SLOW
    while waiting and time.monotonic() < end:
        for fd, events in poll.poll(0.05):
            waiting[fd].step_once(events)
        for fd, t in list(waiting.items()):
            if t.done or t.problem:
                poll.unregister(fd)
                del waiting[fd]
            elif mask[fd] != t.events():
                mask[fd] = t.events()
                poll.modify(fd, mask[fd])
    poll.close()
    for t in waiting.values():
        t.problem = f"stuck: {t.sent} sent, {t.got} back of {len(t.data)} bytes"
    return [t.problem for t in talkers if t.problem]


def exchange(sock, data, promise=10.0, **how):
    """One conversation; asserts that it was perfect."""
    assert converse([Talker(sock, data, **how)], promise) == []
    sock.settimeout(10.0 * SLOW)


def swarm(connect, payloads, window=200, promise=20.0, **how):
    """A new connection for each of PAYLOADS, WINDOW of them at a time, in order; returns the
    list of problems."""
    problems = []
    payloads = list(payloads)
    for first in range(0, len(payloads), window):
        talkers = []
        try:
            for data in payloads[first:first + window]:
                talkers.append(Talker(connect(), data, **how))
            problems += converse(talkers, promise)
        finally:
            for t in talkers:
                t.sock.close()
    return problems


def receive(sock, size):
    """Exactly SIZE bytes, blocking; what came before the end of file if it is early."""
    parts = []
    while size:
        block = sock.recv(min(size, CHUNK))
        if not block:
            break
        parts.append(block)
        size -= len(block)
    return b"".join(parts)


def ping(sock, data=b"ping"):
    """One small round trip on a blocking socket."""
    sock.sendall(data)
    back = receive(sock, len(data))
    assert back == data, f"{back!r} for {data!r}"


def push_until_stuck(sock, most, quiet=0.5):
    """Send zero-filled data without reading, until nothing more goes for QUIET seconds or MOST
    bytes went; returns the number of bytes."""
    sock.setblocking(False)
    block = bytes(CHUNK)
    sent = 0
    last = time.monotonic()
    while sent < most and time.monotonic() < last + quiet:
        try:
            sent += sock.send(block[:min(CHUNK, most - sent)])
            last = time.monotonic()
        except BlockingIOError:
            select.select([], [sock], [], 0.05)
    sock.settimeout(10.0 * SLOW)
    return sent


def at_end(sock):
    """How the other side ended the connection: "eof", "reset", or "" while it is open.  Bytes
    that are waiting are thrown away."""
    sock.setblocking(False)
    try:
        while True:
            if not sock.recv(CHUNK):
                return "eof"
    except BlockingIOError:
        return ""
    except (ConnectionResetError, BrokenPipeError):
        return "reset"
    finally:
        sock.settimeout(10.0 * SLOW)


def reset(sock):
    """Close with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
