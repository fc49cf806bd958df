# SPDX-License-Identifier: ISC
"""echoc against servers of others: their known defects are found and named, what they do well
is not doubted."""

import shutil
import socket
import subprocess

import pytest

from echoc import DAMAGED, MISSED, OK, TIMEOUT, echoc
from harness import free_port, wait_for
from talk import payload

XINETD = """defaults
{{
}}
service echo
{{
    type = INTERNAL UNLISTED
    id = echo-{kind}
    socket_type = {kind}
    protocol = {protocol}
    user = root
    wait = {wait}
    port = {port}
    bind = 127.0.0.1
}}
"""


@pytest.fixture
def server():
    """server(words) runs a program to the end of the test."""
    started = []

    def start(*words):
        if not shutil.which(words[0]):
            pytest.skip(f"{words[0]} is not installed")
        started.append(subprocess.Popen(words, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    yield start
    for p in started:
        p.terminate()
        p.wait(10)


def wait_udp(port):
    def answers():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.settimeout(0.2)
            s.connect(("127.0.0.1", port))
            try:
                return s.send(b"x") and s.recv(10) == b"x"
            except OSError:
                return False
    wait_for("an echo over UDP", answers, 2.0, 0.05)


def wait_tcp(port):
    def answers():
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", port)) == 0
    wait_for("a listener", answers, 2.0, 0.05)


@pytest.fixture
def xinetd(server, tmp_path):
    def start(kind):
        port, conf = free_port(), tmp_path / "xinetd.conf"
        protocol, wait = ("udp", "yes") if kind == "dgram" else ("tcp", "no")
        conf.write_text(XINETD.format(kind=kind, protocol=protocol, wait=wait, port=port))
        server("xinetd", "-dontfork", "-f", str(conf))
        (wait_udp if kind == "dgram" else wait_tcp)(port)
        return port
    return start


def test_xinetd_cuts_datagrams(xinetd):
    port = xinetd("dgram")
    r = echoc("ping", "-u", "-c", 2, "-i", "0.1", "-s", 4098, "127.0.0.1", port)
    assert r.code == DAMAGED and "damaged: cut at 2048 of 4098 bytes" in r.out, r
    assert echoc("ping", "-u", "-c", 2, "-i", "0.1", "-s", 2048, "127.0.0.1", port).code == OK
    r = echoc("path", "--udp", "-C", "mtu", "127.0.0.1", port)
    assert r.code == MISSED and "the server cuts its answers at 2048" in r.out, r


def test_xinetd_streams_are_fine(xinetd):
    port = xinetd("stream")
    data = payload(1 << 20)
    r = echoc("send", "-v", "127.0.0.1", port, stdin=data)
    assert r.code == OK and r.bytes == data, r
    r = echoc("path", "--tcp", "-C", "half-close", "127.0.0.1", port)
    assert r.code == OK, r


def test_socat_datagrams(server):
    """It cuts at 8192 and ignores empty ones."""
    port = free_port()
    server("socat", f"UDP-RECVFROM:{port},bind=127.0.0.1,fork", "PIPE")
    wait_udp(port)
    r = echoc("send", "-v", "-u", "-s", "9000", "127.0.0.1", port, stdin=payload(9000))
    assert r.code == DAMAGED and "cut at 8192 of 9000 bytes" in r.err, r
    r = echoc("send", "-v", "-u", "-W", "0.5", "127.0.0.1", port, "")
    assert r.code == TIMEOUT and "no answer" in r.err, r


def test_socat_streams(server):
    """With cat(1) behind it, a stream is whole."""
    port = free_port()
    server("socat", f"TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr", "EXEC:cat")
    wait_tcp(port)
    data = payload(1 << 20)
    r = echoc("send", "-v", "127.0.0.1", port, stdin=data)
    assert r.code == OK and r.bytes == data, r
