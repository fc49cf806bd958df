# SPDX-License-Identifier: ISC
"""echoc send: what goes out comes back, and what does not is named."""

import os
import socket
import subprocess

import pytest

import broken
from echoc import (DAMAGED, ECHOC, NAME, OK, REFUSED, TIMEOUT, UNREACHABLE, USAGE, echoc, start,
                   target)
from grid import TCP4, TRANSPORTS, UDP4, datagram_grid, stream_grid
from harness import SLOW, free_port
from talk import payload

MIB = 1 << 20


@stream_grid(quick=("tcp4", "tcp6", "unix"))
def test_every_model(echod, cell, tmp_path):
    """Words, nothing, and 4 MiB through every model, verified."""
    service = echod(cell.service(tmp_path)).services[0]
    r = echoc("send", *target(service), "hello", "world")
    assert (r.code, r.out) == (OK, "hello world\n"), r
    assert echoc("send", "-v", *target(service)).bytes == b""
    data = payload(4 * MIB)
    r = echoc("send", "-v", *target(service), stdin=data)
    assert r.code == OK and r.bytes == data


@datagram_grid()
def test_datagrams(echod, cell, tmp_path):
    """A datagram for each word, an empty one too; standard input in pieces."""
    service = echod(cell.service(tmp_path)).services[0]
    r = echoc("send", "-v", *target(service), "one", "", "three")
    assert (r.code, r.out) == (OK, "one\n\nthree\n"), r
    data = payload(100000)
    r = echoc("send", "-v", "-s", "8000", *target(service), stdin=data)
    assert r.code == OK and r.bytes == data, r


def test_large_input(echod, tmp_path):
    """64 MiB both ways at once: no buffer is the limit."""
    service = echod(TCP4.service(tmp_path)).services[0]
    data = payload(64 * MIB)
    r = echoc("send", "--verify", *target(service), stdin=data)
    assert r.code == OK and r.bytes == data


def test_interactive(echod, tmp_path):
    """What is typed comes back before the input ends."""
    service = echod(TCP4.service(tmp_path)).services[0]
    p = start("send", *target(service), stdin=subprocess.PIPE)
    for line in (b"one\n", b"two\n"):
        p.stdin.write(line)
        p.stdin.flush()
        assert p.stdout.readline() == line
    p.stdin.close()
    assert p.stdout.read() == b"" and p.wait(10) == OK
    p.stdout.close()
    p.stderr.close()


@pytest.mark.parametrize("name", ["tcp4", "udp4", "tcp6", "udp6"])
def test_source(echod, tmp_path, name):
    """--source chooses address and port; the daemon sees them."""
    t = TRANSPORTS[name]
    port = free_port()
    source = f"[::1]:{port}" if t.host == "::1" else f"127.0.0.3:{port}"
    service = t.service(tmp_path)
    family = socket.AF_INET6 if t.host == "::1" else socket.AF_INET
    with socket.socket(family, t.kind) as s:
        s.bind(service.address)
        if t.datagram:
            p = start("send", "--source", source, *target(service), "x")
            data, sender = s.recvfrom(100)
            s.sendto(data, sender)
        else:
            s.listen(1)
            p = start("send", "--source", source, *target(service), "x")
            connection, sender = s.accept()
            connection.sendall(connection.recv(100))
            connection.close()
        assert p.communicate(timeout=10)[0] == b"x\n" and p.returncode == OK
    assert sender[1] == port and sender[0] == source.rsplit(":", 1)[0].strip("[]")


@pytest.mark.parametrize("form", ["{h}:{p}", "[::ffff:{h}]:{p}", "localhost:{p}"])
def test_target_forms(echod, tmp_path, form):
    service = echod(TCP4.service(tmp_path)).services[0]
    host, port = service.address
    r = echoc("send", form.format(h=host, p=port), "x")
    assert (r.code, r.out) == (OK, "x\n"), r


def test_options(echod, tmp_path):
    """-o sets an option, --show-options tells what it is."""
    service = echod(TCP4.service(tmp_path)).services[0]
    r = echoc("send", "-o", "SO_RCVBUF=32K", "-o", "IP_TTL=33", "-o", "TCP_NODELAY=false",
              "--show-options", *target(service), "x")
    assert r.code == OK and r.out == "x\n", r
    assert "SO_RCVBUF = 65536 (asked: 32768; the kernel doubles it)" in r.err
    assert "IP_TTL = 33 (asked: 33)" in r.err
    assert "TCP_NODELAY = false" in r.err
    assert "SO_KEEPALIVE = false\n" in r.err


DEFECTS = [  # defect, exit code, what the message says
    ("cuts", DAMAGED, "bytes missing: "),
    ("stops", DAMAGED, "cut at 2048 of "),
    ("duplicates", DAMAGED, "duplicated: at byte "),
    ("zeroes", DAMAGED, "zeroed from byte 0 on"),
    ("changes", DAMAGED, "changed: byte 100 is 0x"),
    ("adds", DAMAGED, "changed: byte 0 is 0x77"),
    ("never_answers", TIMEOUT, "nothing moves any more: "),
    ("never_reads", TIMEOUT, "nothing moves any more: "),
    ("resets", DAMAGED, "Connection reset by peer, after 0 of "),
    ("ends_at_once", DAMAGED, "the far side closed"),
    ("forgets_at_half_close", DAMAGED, "the far side closed at our half-close"),
    ("no_fin", TIMEOUT, "all came back, but no end of file"),
]


@pytest.mark.parametrize("defect,code,text", DEFECTS, ids=[d[0] for d in DEFECTS])
def test_broken_stream(defect, code, text):
    with broken.Stream(defect) as server:
        r = echoc("send", "--verify", "-W", "1", *server.words, stdin=payload(100000))
    assert r.code == code and text in r.err, r


def test_place_of_damage():
    """The first damage is at the byte where it is."""
    with broken.Stream("cuts", whole=5000) as server:
        r = echoc("send", "-v", "-W", "1", *server.words, stdin=payload(5000))
    assert r.code == DAMAGED, r
    # Only the end is missing of what one read took.
    assert "cut at 2048 of 5000 bytes" in r.err
    with broken.Stream("duplicates", whole=5000) as server:
        r = echoc("send", "-v", *server.words, stdin=payload(5000))
    assert "duplicated: at byte 5000 come those from 0 on again" in r.err, r


def test_slow_server_is_no_defect():
    with broken.Stream("delays", seconds=0.3) as server:
        r = echoc("send", "-v", "-W", "2", *server.words, "hello")
    assert (r.code, r.out) == (OK, "hello\n"), r


def test_keep_open():
    """Without half-close a server that cannot bear it is fine."""
    with broken.Stream("forgets_at_half_close") as server:
        r = echoc("send", "-v", "--keep-open", *server.words, "hello")
    assert (r.code, r.out) == (OK, "hello\n"), r


DATAGRAM_DEFECTS = [
    ("cuts", DAMAGED, "datagram 1: damaged: cut at 2048 of 4096 bytes"),
    ("duplicates", DAMAGED, "duplicated or late"),
    ("changes", DAMAGED, "changed: byte 4095 is 0x"),
    ("zeroes", DAMAGED, "zeroed from byte 8 on"),
    ("elsewhere", DAMAGED, "answered from 127.0.0.2:"),
    ("never_answers", TIMEOUT, "no answer"),
]


@pytest.mark.parametrize("defect,code,text", DATAGRAM_DEFECTS,
                         ids=[d[0] for d in DATAGRAM_DEFECTS])
def test_broken_datagrams(defect, code, text):
    with broken.Datagram(defect, other="127.0.0.2") as server:
        r = echoc("send", "-v", "-u", "-s", "4K", "-W", "0.5", *server.words,
                  stdin=payload(3 * 4096))
    assert r.code == code and text in r.err, r


def test_silent_first_address():
    """Where the name's first address is silent, the next one is asked."""
    found = socket.getaddrinfo("localhost", 7, type=socket.SOCK_DGRAM)
    if [a[4][0] for a in found] != ["::1", "127.0.0.1"]:
        pytest.skip("localhost is not both, IPv6 first")
    with broken.Datagram("fine") as server, \
            socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as silent:
        silent.bind(("::1", server.port))
        r = echoc("send", "-u", "-W", "0.3", "localhost", server.port, "hello", "again")
    assert (r.code, r.out, r.err) == (OK, "hello\nagain\n", ""), r


def test_nobody_there():
    port = free_port()
    for flags in ([], ["-u"]):
        r = echoc("send", *flags, "127.0.0.1", port, "x")
        assert r.code == REFUSED and "refused" in r.err, r
    assert echoc("send", "--unix", "/nonexistent/socket", "x").code == NAME
    assert echoc("send", "name.invalid", "7", "x").code == NAME
    r = echoc("send", "--source", "192.0.2.77", "127.0.0.1", port, "x")
    assert r.code == UNREACHABLE and "bind" in r.err, r


@pytest.mark.parametrize("words", [
    [], ["--nosuch", "h"], ["-W", "x", "h"], ["-W"], ["h", "70000"], ["h:0"], ["[::1"],
    ["h:7:"], ["-o", "NOSUCH=1", "h"], ["-o", "IP_TTL=0", "h"], ["-o", "IP_TTL", "h"],
    ["--dscp", "64", "h"], ["--unix", "relative"], ["127.0.0.1", "nosuchport"],
    ["-S", "300.1.1.1", "127.0.0.1"], ["-S", "127.0.0.1:nosuchport", "127.0.0.1"],
    ["-U", "-S", "relative", "/x"], ["fe80::1", "7"],
], ids=" ".join)
def test_usage(words):
    r = echoc("send", *words)
    if words != ["h:7:"]:
        assert r.code == USAGE and "--help" in r.err, r
    assert r.code in (USAGE, NAME) and r.out == ""


def test_closed_output(echod, tmp_path):
    """Who does not take the output is not told that all is well."""
    service = echod(TCP4.service(tmp_path)).services[0]
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([ECHOC, "send", *map(str, target(service)), "x"], stdout=write,
                          stderr=subprocess.PIPE, check=False, timeout=20)
    os.close(write)
    assert done.returncode == 71 and b"standard output" in done.stderr


def test_closed_before_it_was_sent():
    """The far side's end may be there before ours has anything to say."""
    read, write = os.pipe()
    with broken.Stream("ends_at_once") as server:
        done = subprocess.run([ECHOC, "send", *server.words], stdin=read, capture_output=True,
                              check=False, timeout=20 * SLOW)
    os.close(read)
    os.close(write)
    assert done.returncode == DAMAGED, done
    assert b"the far side closed before anything was sent" in done.stderr


def shell(command, *words):
    """COMMAND of the shell with `"$@"` for `echoc WORDS...`."""
    return subprocess.run(["sh", "-c", command, "sh", ECHOC, *map(str, words)],
                          stdin=subprocess.DEVNULL, capture_output=True, check=False,
                          timeout=20 * SLOW)


@pytest.mark.parametrize("cell", [TCP4, UDP4], ids=str)
def test_closed_descriptors(echod, cell, tmp_path):
    """No socket gets the number of a standard descriptor that is closed: it would be read and
    written as such."""
    words = target(echod(cell.service(tmp_path)).services[0])
    done = shell('"$@" >&-', "send", *words, "x")
    assert done.returncode == 71 and b"standard output: Bad file" in done.stderr, done
    done = shell('"$@" <&-', "send", *words)
    assert done.returncode == 71 and b"standard input: Bad file" in done.stderr, done
    done = shell('"$@" <&- 2>&-', "send", *words, "x")
    assert (done.returncode, done.stdout) == (OK, b"x\n"), done


@pytest.mark.parametrize("cell", [TCP4, UDP4], ids=str)
def test_input_that_cannot_be_read(echod, cell, tmp_path):
    done = shell('"$@" </', "send", *target(echod(cell.service(tmp_path)).services[0]))
    assert done.returncode == 71, done
    assert done.stderr == b"echoc: send: standard input: Is a directory\n"


@pytest.mark.parametrize("command", ["", "send", "ping", "path"])
def test_help_fits_a_screen(command):
    """40 lines of 80 columns, with examples, for each subcommand."""
    r = echoc(*([command] if command else []), "--help")
    lines = r.out.splitlines()
    assert r.code == OK and r.err == ""
    assert len(lines) <= 40 and max(map(len, lines)) <= 80
    assert "Exit code: 0 ok" in r.out and (not command or "Examples:" in r.out)


def test_version():
    assert echoc("--version").out.startswith("echoc ")
    assert echoc().code == USAGE and echoc("nosuch").code == USAGE
