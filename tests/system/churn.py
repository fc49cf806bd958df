#!/usr/bin/python3
# SPDX-License-Identifier: ISC
"""churn.py TARGET...: new clients without an end, until standard input is closed; then what they
saw, as JSON.  Before it, a line tells that every target has served one.

A TARGET is tcp:HOST:PORT, udp:HOST:PORT or unix:PATH.  Each has clients that connect, send, wait
for the echo and leave.  `refused` is what must never be; `connect` and `echo` are the longest
times in seconds; `cut` are connections that ended before the echo was whole, `reset` those by a
reset; `lost` are datagrams without an answer.
"""

import json
import socket
import sys
import threading
import time

PAUSE = 0.004    # between two clients of one thread: enough to fill every restart, not the machine
PATIENCE = 20.0  # the longest that a client waits
WAIT_UDP = 1.0
CLIENTS = {"tcp": 2, "unix": 1, "udp": 1}  # threads

lock = threading.Lock()
stop = threading.Event()


class Target:
    """One target and what its clients saw."""

    def __init__(self, text):
        self.text = text
        self.protocol, rest = text.split(":", 1)
        if self.protocol == "unix":
            self.family, self.address = socket.AF_UNIX, rest
        else:
            host, port = rest.rsplit(":", 1)
            self.family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self.address = (host.strip("[]"), int(port))
        self.seen = {"done": 0, "refused": 0, "reset": 0, "cut": 0, "late": 0, "lost": 0,
                     "connect": 0.0, "echo": 0.0, "errors": []}

    def count(self, key):
        with lock:
            self.seen[key] += 1

    def longest(self, key, seconds):
        with lock:
            self.seen[key] = max(self.seen[key], round(seconds, 4))

    def error(self, what, error):
        with lock:
            if len(self.seen["errors"]) < 5:
                self.seen["errors"].append(f"{time.monotonic():.3f} {what}: {error!r}")

    def stream(self, data):
        """One client of a stream."""
        start = time.monotonic()
        s = socket.socket(self.family, socket.SOCK_STREAM)
        try:
            s.settimeout(PATIENCE)
            try:
                s.connect(self.address)
            except (ConnectionRefusedError, FileNotFoundError) as e:
                self.count("refused")
                return self.error("connect", e)
            connected = time.monotonic()
            self.longest("connect", connected - start)
            s.sendall(data)
            got = b""
            while len(got) < len(data):
                more = s.recv(4096)
                if not more:
                    return self.count("cut")
                got += more
            self.longest("echo", time.monotonic() - connected)
            return self.count("done")
        except (ConnectionResetError, BrokenPipeError) as e:
            self.error("echo", e)
            return self.count("reset")
        except (TimeoutError, BlockingIOError) as e:
            self.error("wait", e)
            return self.count("late")
        finally:
            s.close()

    def datagram(self, data):
        """One datagram and its answer."""
        with socket.socket(self.family, socket.SOCK_DGRAM) as s:
            s.settimeout(WAIT_UDP)
            s.connect(self.address)
            start = time.monotonic()
            try:
                s.send(data)
                s.recv(4096)
            except ConnectionRefusedError as e:
                self.error("datagram", e)
                return self.count("refused")
            except TimeoutError:
                return self.count("lost")
            self.longest("echo", time.monotonic() - start)
            return self.count("done")

    def clients(self, number):
        one = self.datagram if self.protocol == "udp" else self.stream
        n = 0
        while not stop.is_set():
            n += 1
            one(f"{self.text} {number} {n} ".encode() * 4)
            stop.wait(PAUSE)


def main():
    targets = [Target(text) for text in sys.argv[1:]]
    threads = [threading.Thread(target=t.clients, args=(n,))
               for t in targets for n in range(CLIENTS[t.protocol])]
    for t in threads:
        t.start()
    while not all(t.seen["done"] for t in targets):
        time.sleep(PAUSE)
    print("begun", flush=True)
    sys.stdin.read()
    stop.set()
    for t in threads:
        t.join()
    print(json.dumps({t.text: t.seen for t in targets}))


if __name__ == "__main__":
    main()
