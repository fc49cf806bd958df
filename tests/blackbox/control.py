# SPDX-License-Identifier: ISC
"""Talk to the control socket: Varlink's wire format, a JSON object and a NUL."""

import json
import os
import socket
import subprocess
import sys
import tempfile

from harness import SLOW

INTERFACE = "org.echod.Control."
NOBODY = 65534


def new_path():
    """A path for the control socket; a test's own directory is for root alone, and maybe too
    long for an address."""
    made = tempfile.mkdtemp(prefix="ec-", dir="/tmp")
    os.chmod(made, 0o755)
    return os.path.join(made, "control")


class Line:
    """One connection."""

    def __init__(self, path, timeout=30.0):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.buffer = b""
        self.sock.connect(path)  # waits while the backlog is full, as with a timeout it would not
        self.sock.settimeout(timeout * SLOW)

    def send(self, method, parameters=None, **flags):
        if "." not in method:
            method = INTERFACE + method
        message = {"method": method, **flags}
        if parameters is not None:
            message["parameters"] = parameters
        self.raw(json.dumps(message).encode() + b"\0")

    def raw(self, data):
        self.sock.sendall(data)

    def receive(self):
        """The next message, or None at the end."""
        while b"\0" not in self.buffer:
            try:
                block = self.sock.recv(65536)
            except ConnectionResetError:
                return None
            if not block:
                assert not self.buffer, f"half a message: {self.buffer[:200]!r}"
                return None
            self.buffer += block
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)

    def call(self, method, parameters=None, **flags):
        self.send(method, parameters, **flags)
        return self.receive()

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def call(path, method, parameters=None, **flags):
    """The whole reply to one call."""
    with Line(path) as line:
        return line.call(method, parameters, **flags)


def ask(path, method, **parameters):
    """The parameters of a reply that is no error."""
    reply = call(path, method, parameters)
    assert set(reply) == {"parameters"}, reply
    return reply["parameters"]


def call_as(uid, path, method):
    """The reply to a call of another user; None if the socket cannot be opened."""
    program = """if True:
        import json, os, socket, sys
        os.setgroups([])
        os.setresgid(int(sys.argv[1]), int(sys.argv[1]), int(sys.argv[1]))
        os.setresuid(int(sys.argv[1]), int(sys.argv[1]), int(sys.argv[1]))
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(60)
        try:
            s.connect(sys.argv[2])
        except PermissionError:
            sys.exit("null")
        s.sendall(json.dumps({"method": sys.argv[3]}).encode() + b"\\0")
        got = b""
        while not got.endswith(b"\\0"):
            block = s.recv(65536)
            if not block:
                break
            got += block
        sys.stdout.buffer.write(got[:-1])
    """
    done = subprocess.run([sys.executable, "-c", program, str(uid), path, INTERFACE + method],
                          capture_output=True, timeout=120 * SLOW, check=False)
    return json.loads(done.stdout or done.stderr)
