# SPDX-License-Identifier: ISC
"""More echo servers with one defect each: those that show only under load, with many streams.

    with broken_load.Stream("swaps") as server: ... server.words ...
"""

import threading
import time

import broken


def exactly(s, size):
    """SIZE bytes of S, or fewer at its end."""
    data = b""
    while len(data) < size and (part := s.recv(size - len(data))):
        data += part
    return data


class Stream(broken.Stream):
    """keys: size, the bytes of a message; at and seconds, when and how long to stall."""

    def __init__(self, defect, **keys):
        super().__init__(defect, **keys)
        self.lock = threading.Lock()
        self.waiting = None    # of swaps: (socket, its data)
        self.last = None       # of crosses: (socket, its data)
        self.first = None      # of stalls: when the first byte came

    def swaps(self, s):
        """Two clients get each other's bytes."""
        while data := s.recv(1 << 16):
            with self.lock:
                if self.waiting is None or self.waiting[0] is s:
                    self.waiting = (s, data)
                else:
                    other, its = self.waiting
                    self.waiting = None
                    s.sendall(its)
                    other.sendall(data)

    def crosses(self, s):
        """From byte 40961 of a message on, 100 bytes are of another stream."""
        while data := exactly(s, self.keys["size"]):
            with self.lock:
                last, self.last = self.last, (s, data)
            if last and last[0] is not s:
                data = data[:40961] + last[1][40961:41061] + data[41061:]
            s.sendall(data)

    def reorders(self, s):
        """The second half of each message before the first."""
        half = self.keys["size"] // 2
        while data := exactly(s, 2 * half):
            s.sendall(data[half:] + data[:half])

    def zeroes_some(self, s):
        """64 bytes from byte 1024 of each message on are zeros."""
        while data := exactly(s, self.keys["size"]):
            s.sendall(data[:1024] + bytes(64) + data[1088:])

    def loses_tail(self, s):
        """Each message is answered up to byte 2048, and nothing is said of the rest."""
        while data := exactly(s, self.keys["size"]):
            s.sendall(data[:broken.CUT])

    def stalls(self, s):
        """Once, for all clients, nothing is answered for a while."""
        while data := s.recv(1 << 16):
            with self.lock:
                self.first = self.first or time.monotonic()
                begin = self.first + self.keys["at"]
            end = begin + self.keys["seconds"]
            if begin <= time.monotonic() < end:
                time.sleep(max(0.0, end - time.monotonic()))
            s.sendall(data)
