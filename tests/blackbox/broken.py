# SPDX-License-Identifier: ISC
"""Echo servers with one defect each, for tests of the client: it must name the defect.

    with broken.Stream("cuts") as server: ... server.address ...
    with broken.Datagram("duplicates") as server: ...
"""

import contextlib
import socket
import struct
import threading
import time

CUT = 2048  # bytes; the buffer of a well-known server


def reset(s):
    """Close with RST."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def hold(s, seconds):
    """Read and answer nothing until the client leaves, or for SECONDS."""
    s.settimeout(seconds)
    with contextlib.suppress(OSError):
        while s.recv(65536):
            pass


class Server:
    """A socket and a thread that serves it."""
    kind = socket.SOCK_STREAM

    def __init__(self, defect, host="127.0.0.1", **keys):
        self.serve = getattr(self, defect)
        self.keys = keys
        self.stopping = False
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, self.kind)
        self.socket.bind((host, 0))
        self.port = self.socket.getsockname()[1]
        self.words = [host, str(self.port)]
        if self.kind == socket.SOCK_STREAM:
            self.socket.listen(64)
        else:
            self.other = socket.socket(family, self.kind)
            self.other.bind((keys.get("other", host), 0))
        self.thread = threading.Thread(target=self.run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping = True
        self.thread.join(10)
        self.socket.close()


class Stream(Server):
    """Over TCP.  A defect is a method that is given each connection.  With whole=N nothing is read
    before N bytes are there: however a client cut them, one read takes them all."""

    def run(self):
        self.socket.settimeout(0.05)
        while not self.stopping:
            try:
                s = self.socket.accept()[0]
            except TimeoutError:
                continue
            s.settimeout(10)
            if "whole" in self.keys:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, self.keys["whole"])
            threading.Thread(target=self.one, args=(s,), daemon=True).start()

    def one(self, s):
        with contextlib.suppress(OSError), s:
            self.serve(s)

    def each(self, s, change):
        """Answer what is read with what CHANGE(data, offset) makes of it."""
        offset = 0
        while data := s.recv(1 << 16):
            s.sendall(change(data, offset))
            offset += len(data)

    def fine(self, s):
        self.each(s, lambda data, _: data)

    def cuts(self, s):
        self.each(s, lambda data, _: data[:CUT])

    def stops(self, s):
        """Echo the first CUT bytes and close."""
        left = CUT
        while left > 0 and (data := s.recv(left)):
            s.sendall(data)
            left -= len(data)
        s.shutdown(socket.SHUT_WR)
        hold(s, 5)

    def duplicates(self, s):
        self.each(s, lambda data, _: data + data)

    def zeroes(self, s):
        self.each(s, lambda data, _: bytes(len(data)))

    def changes(self, s):
        """Byte 100 of the stream has its lowest bit turned."""
        def change(data, offset):
            data = bytearray(data)
            if offset <= 100 < offset + len(data):
                data[100 - offset] ^= 1
            return bytes(data)
        self.each(s, change)

    def adds(self, s):
        """A line of its own before the echo."""
        s.sendall(b"welcome to this server!\n")
        self.fine(s)

    def delays(self, s):
        def change(data, _):
            time.sleep(self.keys.get("seconds", 0.2))
            return data
        self.each(s, change)

    def never_reads(self, _):
        while not self.stopping:
            time.sleep(0.02)

    def never_answers(self, s):
        hold(s, 10)
        self.never_reads(s)

    def resets(self, s):
        s.recv(10)
        reset(s)

    def closes(self, s):
        s.recv(65536)

    def ends_at_once(self, s):
        """FIN as soon as it is connected."""
        s.shutdown(socket.SHUT_WR)
        hold(s, 5)

    def half_and_reset(self, s):
        """Half of what came comes back; a while later, RST."""
        data = s.recv(65536)
        s.sendall(data[:len(data) // 2])
        time.sleep(self.keys.get("seconds", 0.2))
        reset(s)

    def forgets_at_half_close(self, s):
        """What is held is thrown away when the client shuts down."""
        held = b""
        s.settimeout(0.2)
        while True:
            try:
                data = s.recv(1 << 20)
            except TimeoutError:
                s.sendall(held)
                held = b""
                continue
            if not data:
                return
            held += data

    def resets_at_half_close(self, s):
        """Short messages are echoed; at the end of file, RST."""
        while data := s.recv(1 << 16):
            if len(data) < 100:
                s.sendall(data)
        reset(s)

    def no_fin(self, s):
        """Everything comes back, but no end of file."""
        self.fine(s)
        while not self.stopping:
            time.sleep(0.02)

    def closes_idle(self, s):
        s.settimeout(self.keys["seconds"])
        self.fine(s)

    def forgets_idle(self, s):
        """After a silence what comes is not answered, as behind a NAT that has forgotten."""
        last = time.monotonic()
        while data := s.recv(65536):
            if time.monotonic() - last > self.keys["seconds"]:
                hold(s, 10)
                return
            last = time.monotonic()
            s.sendall(data)


class Datagram(Server):
    """Over UDP.  A defect is a method that is given each datagram and its sender."""
    kind = socket.SOCK_DGRAM

    def run(self):
        self.n = 0
        self.held = []
        self.socket.settimeout(0.05)
        while not self.stopping:
            try:
                data, sender = self.socket.recvfrom(65536)
            except TimeoutError:
                continue
            self.n += 1
            self.serve(data, sender)
        self.other.close()

    def answer(self, data, sender):
        self.socket.sendto(data, sender)

    fine = answer

    def cuts(self, data, sender):
        self.answer(data[:self.keys.get("cut", CUT)], sender)

    def duplicates(self, data, sender):
        self.answer(data, sender)
        self.answer(data, sender)

    def reorders(self, data, sender):
        """Every pair comes back in the other order."""
        self.held.append(data)
        if len(self.held) == 2:
            for d in reversed(self.held):
                self.answer(d, sender)
            self.held.clear()

    def loses(self, data, sender):
        """Each third."""
        if self.n % 3:
            self.answer(data, sender)

    def changes(self, data, sender):
        self.answer(data[:-1] + bytes([data[-1] ^ 1]), sender)

    def zeroes(self, data, sender):
        self.answer(data[:8] + bytes(len(data) - 8), sender)

    def elsewhere(self, data, sender):
        """From another address than the one that was asked."""
        self.other.sendto(data, sender)

    def elsewhere_too(self, data, sender):
        self.elsewhere(data, sender)
        self.answer(data, sender)

    def once(self, data, sender):
        """One answer for all."""
        if self.n == 1:
            self.answer(data, sender)

    def delays(self, data, sender):
        time.sleep(self.keys.get("seconds", 0.2))
        self.answer(data, sender)

    def takes_long(self, data, sender):
        """Delays each, but not one after the other."""
        threading.Timer(self.keys["seconds"], self.answer, (data, sender)).start()

    def never_answers(self, data, sender):
        pass

    def odd_ports(self, data, sender):
        """One of two ways is dead."""
        if sender[1] % 2 == 0:
            self.answer(data, sender)

    def small(self, data, sender):
        """As behind a way that loses long packets and says nothing."""
        if len(data) <= self.keys["size"]:
            self.answer(data, sender)
