# SPDX-License-Identifier: ISC
"""A service manager for one daemon: its notify socket, its descriptor store, the sockets of its
units, and how it starts a service with them.  It does what systemd 252 does."""

import array
import os
import socket
import struct
import sys
import threading
from pathlib import Path

from harness import wait_for

LAUNCH = str(Path(__file__).with_name("launch.py"))


class Manager:
    """Listens at `address` (a path, or "@name") as long as `with` holds."""

    def __init__(self, address):
        self.address = str(address)
        self.store = {}     # name: descriptor, in order
        self.units = []     # (name, socket) of .socket units
        self.told = []      # every text that came
        self.senders = set()  # pids that it came from
        self.deaf = threading.Event()  # set: PID 1 hangs
        self.end = threading.Event()
        self.socket = None
        self.thread = None

    # --- the notify socket

    def open(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        name = self.address
        self.socket.bind("\0" + name[1:] if name.startswith("@") else name)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.socket.settimeout(0.05)
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def close(self):
        self.end.set()
        self.thread.join()
        self.socket.close()
        self.end.clear()
        if not self.address.startswith("@"):
            os.unlink(self.address)

    def __enter__(self):
        self.open()
        return self

    def __exit__(self, *_):
        self.close()
        self.forget()

    def forget(self):
        """What systemctl stop does: the store is emptied."""
        for fd in self.store.values():
            os.close(fd)
        self.store.clear()

    def run(self):
        while not self.end.is_set():
            if self.deaf.is_set():
                self.end.wait(0.01)
                continue
            try:
                text, control, _, _ = self.socket.recvmsg(4096, 1024)
            except TimeoutError:
                continue
            fds = array.array("i")
            for _, kind, data in control:
                if kind == socket.SCM_RIGHTS:
                    fds.frombytes(data)
                else:  # credentials
                    self.senders.add(struct.unpack("3i", data)[0])
            self.hear(text.decode(), list(fds))

    def hear(self, text, fds):
        words = dict(x.split("=", 1) for x in text.splitlines())
        name = words.get("FDNAME", "stored")
        if "FDSTORE" in words:
            assert len(fds) == 1 and ":" not in name and name.isprintable(), text
            assert name not in self.store, f"{name} is stored already"
            self.store[name] = fds.pop()
        if "FDSTOREREMOVE" in words and name in self.store:
            os.close(self.store.pop(name))
        for fd in fds:  # a barrier's, which waits for this
            os.close(fd)
        self.told.append(text)

    def values(self, key):
        """Every value that KEY was told, in order."""
        return [x.split("=", 1)[1] for t in list(self.told) for x in t.splitlines()
                if x.startswith(key + "=")]

    def wait_told(self, key, count=1, promise=2.0):
        """Wait until KEY was told COUNT times."""
        wait_for(f"{key} {count} times, not {self.told}",
                 lambda: len(self.values(key)) >= count, promise)

    # --- the service

    def listen(self, name, sock):
        """SOCK is a socket of a unit with FileDescriptorName=NAME."""
        self.units.append((name, sock))
        return sock

    def prepare(self, daemon, notify=True, **environment):
        """DAEMON will be started with all that there is to pass."""
        passed = [(n, s.fileno()) for n, s in self.units] + list(self.store.items())
        env = {"NOTIFY_SOCKET": self.address} if notify else {}
        env.update(environment)
        daemon.options["env"] = {**daemon.options.get("env", {}), **env}
        daemon.options["pass_fds"] = [fd for _, fd in passed]
        daemon.options["prefix"] = []
        if passed:
            names = ":".join(n for n, _ in passed)
            daemon.options["prefix"] = [sys.executable, LAUNCH,
                                        ",".join(str(fd) for _, fd in passed), names]
        return daemon

    def start(self, daemon, **environment):
        """Start it, and wait until it serves."""
        self.prepare(daemon, **environment)
        daemon.directory.mkdir(exist_ok=True)
        daemon.log_file.touch()
        begin = daemon.mark()
        daemon.told_to_stop = False
        daemon.spawn()
        wait_for("a ready line or the end", lambda: daemon.process.poll() is not None
                 or daemon.lines("ready: ", begin), 3.0)
        assert daemon.process.poll() is None, f"echod ended at start:\n{daemon.log()}"
        return daemon

    def stop(self, daemon):
        """The first half of systemctl restart: the store stays."""
        stopping = len(self.values("STOPPING"))
        assert daemon.stop() == 0
        self.wait_told("STOPPING", stopping + 1)

    def restart(self, daemon, **environment):
        self.stop(daemon)
        return self.start(daemon, **environment)
