# SPDX-License-Identifier: ISC
"""A journald of our own: a datagram socket that takes native records, and can stop doing so.

libsystemd sends to /run/systemd/journal/socket and nowhere else, so the daemon gets a mount
namespace in which that directory is the test's."""

import array
import os
import socket
import struct
import subprocess
import tempfile
import threading
import time

import harness

# $1 is /run/systemd/journal; $2, if any, is /dev with little in it.
IN_NAMESPACE = """set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/journal
mount --bind "$1" /run/systemd/journal
if test -n "$2"; then
    for node in null urandom; do
        : >"$2/$node"
        mount --bind /dev/$node "$2/$node"
    done
    mount --rbind "$2" /dev
fi
shift 2
exec "$@"
"""


def problem():
    """Why there can be no mount namespace here, or ""."""
    try:
        done = subprocess.run(["unshare", "-m", "sh", "-c", "mount -t tmpfs tmpfs /run"],
                              capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "unshare(1) is not installed"
    return "" if done.returncode == 0 else f"mount namespaces: {done.stderr.strip()}"


def parse(data):
    """{name: value} of one native record: NAME=VALUE lines, or NAME, a length and the bytes."""
    fields = {}
    while data:
        line, _, rest = data.partition(b"\n")
        name, sign, value = line.partition(b"=")
        if not sign:
            (size,) = struct.unpack("<Q", rest[:8])
            value, rest = rest[8:8 + size], rest[8 + size + 1:]
        assert name.decode() not in fields, f"{name} is there twice: {data}"
        fields[name.decode()] = value.decode(errors="backslashreplace")
        data = rest
    return fields


class Datagrams:
    """A bound datagram socket and a thread that reads it, unless it is told to hang."""

    def __init__(self, path, take):
        self.path = path
        self.take = take
        self.running = threading.Event()
        self.pause = 0  # seconds that a datagram keeps the reader busy
        self.passed = 0   # datagrams that were a descriptor
        self.orphans = 0  # datagrams whose sender was gone when it came to them
        self.socket = None
        self.thread = None

    def start(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(self.path)
        os.chmod(self.path, 0o666)
        self.socket.settimeout(0.1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.running.set()
        self.thread = threading.Thread(target=self.run, args=(self.socket,), daemon=True)
        self.thread.start()
        return self

    def run(self, sock):
        while self.socket is sock:
            if not self.running.wait(0.1):
                continue
            try:
                data, ancillary, _, _ = sock.recvmsg(1 << 20, 4096)
            except socket.timeout:
                continue
            pid = 0
            for _, kind, said in ancillary:
                if kind == socket.SCM_CREDENTIALS:
                    pid, _, _ = struct.unpack("3i", said)
                elif kind == socket.SCM_RIGHTS:
                    fd = array.array("i", said)[0]
                    data = os.pread(fd, os.fstat(fd).st_size, 0)
                    os.close(fd)
                    self.passed += 1
            if not data:
                continue  # a question whether all has been read
            time.sleep(self.pause)
            self.orphans += not os.path.exists(f"/proc/{pid}/cgroup")
            self.take(data)

    def hang(self):
        """Read nothing until resume(): what is on its way blocks its sender soon."""
        self.running.clear()

    def resume(self):
        self.running.set()

    def vanish(self):
        """Remove the socket's file, and close it."""
        os.unlink(self.path)
        sock, self.socket = self.socket, None
        self.running.set()
        self.thread.join()
        sock.close()

    def stop(self):
        if self.socket:
            self.vanish()


class Journald(Datagrams):
    """The journal's native socket, and the records that came."""

    def __init__(self):
        self.directory = tempfile.mkdtemp(prefix="ej-")  # sun_path is short
        os.chmod(self.directory, 0o755)
        self.records = []
        super().__init__(f"{self.directory}/socket", self.add)

    def add(self, data):
        self.records.append(parse(data))

    def stop(self):
        super().stop()
        os.rmdir(self.directory)

    def find(self, start=0, **fields):
        """Records that have all of FIELDS; a value of None is any."""
        return [r for r in self.records[start:]
                if all(k in r and v in (None, r[k]) for k, v in fields.items())]

    def wait(self, promise=3.0, start=0, **fields):
        return harness.wait_for(f"a record with {fields}", lambda: self.find(start, **fields),
                                promise)[0]

    def prefix(self, dev=""):
        """What stands before the daemon's command line; DEV is to be its /dev."""
        return ["unshare", "-m", "sh", "-c", IN_NAMESPACE, "sh", self.directory, str(dev)]


def stream_of(path):
    """JOURNAL_STREAM for a standard error that is the file PATH."""
    st = os.stat(path)
    return f"{st.st_dev}:{st.st_ino}"
