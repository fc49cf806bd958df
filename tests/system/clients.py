# SPDX-License-Identifier: ISC
"""Clients of what runs in a container."""

import json
import select
import socket
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from harness import SLOW, wait_for

CHURN = Path(__file__).with_name("churn.py")
PORT = 7
LOOPBACK = ("127.0.0.1", "::1")
EVERYWHERE = [(kind, host, PORT) for kind in ("tcp", "udp") for host in LOOPBACK]


def make(machine, kind, host):
    """A socket in the container's network."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with machine.network():
        s = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    s.settimeout(5.0 * SLOW)
    return s


def connect(machine, host="127.0.0.1", port=PORT, kind="tcp"):
    """A connected socket."""
    s = make(machine, kind, host)
    try:
        s.connect((host, port))
    except BaseException:
        s.close()
        raise
    return s


def connect_unix(machine, path):
    """A connected stream to the UNIX socket that is PATH inside."""
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.settimeout(5.0 * SLOW)
    s.connect(str(machine.path(path)))
    return s


def answer(s, data):
    """What comes back on connected socket S for DATA; less if it ends."""
    s.sendall(data)
    if s.type == socket.SOCK_DGRAM:
        return s.recv(65536)
    got = b""
    while len(got) < len(data):
        more = s.recv(65536)
        if not more:
            break
        got += more
    return got


def echoes(machine, kind, host, port=PORT):
    """Does that address echo?  False if it refuses."""
    data = f"{kind} {host} {port}".encode() * 10
    try:
        with connect(machine, host, port, kind) as s:
            return answer(s, data) == data
    except ConnectionRefusedError:
        return False


def check_echoes(machine, addresses=EVERYWHERE):
    """Every one of the ADDRESSES echoes."""
    silent = [a for a in addresses if not echoes(machine, *a)]
    assert not silent, f"no echo: {silent}"


def check_refuses(machine, addresses=EVERYWHERE):
    """None of the ADDRESSES is served."""
    serving = [a for a in addresses if echoes(machine, *a)]
    assert not serving, f"still served: {serving}"


def refused(machine, addresses=EVERYWHERE):
    """Is nobody there?  systemd 257 says that it has stopped a socket a moment before that is
    closed, at times: who connects then is reset."""
    try:
        return not any(echoes(machine, *a) for a in addresses)
    except ConnectionResetError:
        return False


@contextmanager
def occupy(machine, port, host="127.0.0.1"):
    """Somebody else listens on PORT within."""
    with machine.network():
        other = socket.create_server((host, port))
    with other:
        yield


@contextmanager
def churn(machine, *targets):
    """Clients come and go all the time within; yields a dict that holds what they saw
    afterwards.  Each target has served a client when it begins."""
    child = machine.popen(sys.executable, str(CHURN), *targets, stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE)
    seen = {}
    try:
        wait_for("the first clients", lambda: select.select([child.stdout], [], [], 0)[0], 3.0)
        assert child.stdout.readline() == "begun\n"
        yield seen
        out, _ = child.communicate(timeout=60 * SLOW)
        seen.update(json.loads(out))
    finally:
        if child.poll() is None:
            child.kill()
            child.wait()


def check_nobody_refused(seen, figure, connect=None):
    """What churn() saw has no refusal, a client of every kind was served, and the longest
    connect was below CONNECT seconds.  It is shown as a figure."""
    for target, counts in seen.items():
        figure(f"{target}: " + ", ".join(
            f"{k} {v}" for k, v in counts.items() if k in ("done", "refused") or v))
    for target, counts in seen.items():
        assert counts["refused"] == 0, f"{target}: {counts}"
        assert counts["late"] == 0, f"{target}: {counts}"
        assert counts["done"] > 0, f"{target}: {counts}"
        if connect is not None:
            assert counts["connect"] < connect, f"{target}: {counts}"
