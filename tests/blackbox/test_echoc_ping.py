# SPDX-License-Identifier: ISC
"""echoc ping: times, counts, and the name of what is wrong."""

import os
import pty
import re
import select
import signal
import socket
import time

import pytest

import broken
from echoc import (DAMAGED, MISSED, NAME, OK, REFUSED, TIMEOUT, USAGE, echoc, start, target)
from grid import TCP4, UDP4, datagram_grid, stream_grid
from harness import SLOW, free_port, wait_for

QUICK = ["-i", "0.02"]


def summary(r):
    """The numbers of the summary line."""
    m = re.search(r"^(\d+) sent, (\d+) received, (\d+) lost \(([\d.e+]+)%\), (\d+) duplicated, "
                  r"(\d+) reordered, (\d+) damaged, time \d+ ms$", r.out, re.M)
    assert m, r
    names = ("sent", "received", "lost", "percent", "duplicated", "reordered", "damaged")
    return dict(zip(names, (float(x) for x in m.groups())))


@stream_grid(quick=("tcp4", "unix"))
def test_every_model(echod, cell, tmp_path):
    """Ten messages over one connection, and each over its own."""
    service = echod(cell.service(tmp_path)).services[0]
    r = echoc("ping", "-c", 10, *QUICK, *target(service))
    assert r.code == OK and summary(r)["received"] == 10, r
    assert r.out.count("connected to ") == 1
    assert len(re.findall(r"^56 bytes from \S+: seq=\d+ time=[\d.]+ ms$", r.out, re.M)) == 10
    assert "rtt min/avg/max/mdev = " in r.out and "rtt percentiles 50% " in r.out
    r = echoc("ping", "-c", 10, "--connect-each", *QUICK, *target(service))
    assert r.code == OK and summary(r)["received"] == 10, r
    assert len(re.findall(r"seq=\d+ connect=[\d.]+ ms time=[\d.]+ ms$", r.out, re.M)) == 10
    assert "connect min/avg/max/mdev = " in r.out


@pytest.mark.parametrize("size", [0, 7, 8])
def test_answers_that_come_together(size):
    """Datagrams too short for a number are taken in order, also when two answers are there at
    once."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("127.0.0.1", 0))
        s.settimeout(10 * SLOW)
        p = start("ping", "--udp", "-c", 6, "-s", size, *QUICK, "127.0.0.1", s.getsockname()[1],
                  text=True)
        asked = [s.recvfrom(100) for _ in range(6)]
        os.kill(p.pid, signal.SIGSTOP)
        for data, client in asked:
            s.sendto(data, client)
        os.kill(p.pid, signal.SIGCONT)
        out = p.communicate(timeout=10 * SLOW)[0]
    assert "6 sent, 6 received, 0 lost (0%), 0 duplicated, 0 reordered" in out, out
    assert p.returncode == OK


@datagram_grid()
@pytest.mark.parametrize("size", [0, 1, 56, 9000])
def test_datagrams(echod, cell, tmp_path, size):
    service = echod(cell.service(tmp_path)).services[0]
    r = echoc("ping", "-c", 10, "-s", size, *QUICK, *target(service))
    got = summary(r)
    assert r.code == OK and got["received"] == 10 and got["damaged"] == 0, r
    if cell.transport.protocol == "udp":
        assert "ttl=64" in r.out


@pytest.mark.parametrize("size", [1, 7, 65536, 1 << 20])
def test_sizes(echod, tmp_path, size):
    service = echod(TCP4.service(tmp_path)).services[0]
    r = echoc("ping", "-c", 5, "-s", size, *QUICK, *target(service))
    assert r.code == OK and summary(r)["received"] == 5, r


@pytest.mark.parametrize("flags", [[], ["--connect-each"], ["--udp"]], ids=str)
def test_json(echod, tmp_path, flags):
    transport = UDP4 if flags == ["--udp"] else TCP4
    service = echod(transport.service(tmp_path)).services[0]
    host, port = service.address
    o = echoc("ping", "--json", "-c", 20, "-i", "0.01", *flags, f"{host}:{port}").json()
    assert (o["sent"], o["received"], o["lost"], o["exit"], o["result"]) == (20, 20, 0, 0, "ok")
    assert o["address"] == f"{host}:{port}" and o["protocol"] == transport.protocol
    rtt = o["rtt_ms"]
    p = rtt["percentiles"]
    assert 0 < rtt["min"] <= p["50"] <= p["90"] <= p["99"] <= p["99.9"] <= rtt["max"] * 1.001
    assert rtt["min"] <= rtt["avg"] <= rtt["max"] and rtt["mdev"] >= 0
    assert o["connections"] == {"[]": 1, "['--connect-each']": 20, "['--udp']": 0}[str(flags)]
    assert (o["connect_ms"] is None) == (flags == ["--udp"])


def test_live_and_interrupt(echod, tmp_path):
    """On a terminal each reply is there at once; Ctrl-C prints the summary."""
    service = echod(TCP4.service(tmp_path)).services[0]
    pid, fd = pty.fork()
    if pid == 0:
        from echoc import ECHOC
        os.execv(ECHOC, [ECHOC, "ping", "-i", "0.1", *map(str, target(service))])
    seen = b""

    def read():
        nonlocal seen
        if select.select([fd], [], [], 0.05)[0]:
            try:
                seen += os.read(fd, 65536)
            except OSError:
                pass
        return seen
    wait_for("the third reply", lambda: b"seq=3 " in read(), 1.0)
    assert b"statistics" not in seen
    os.write(fd, b"\x03")
    wait_for("the summary", lambda: b"rtt percentiles" in read(), 1.0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == OK
    os.close(fd)


def test_terminated_while_connecting():
    """A signal ends the wait for a connection, too."""
    with broken.Datagram("never_answers") as server:
        p = start("ping", "--udp", *server.words)
        time.sleep(0.3 * SLOW)
        p.send_signal(signal.SIGTERM)
        out = p.communicate(timeout=10)[0].decode()
    assert "1 sent, 0 received" in out and p.returncode == TIMEOUT, out


def test_deadline(echod, tmp_path):
    service = echod(TCP4.service(tmp_path)).services[0]
    r = echoc("ping", "-w", "0.5", "-i", "0.1", *target(service))
    assert r.code == OK and 2 <= summary(r)["sent"] <= 6, r


def test_deadline_of_a_connection():
    """The deadline ends the wait for a connection, too."""
    with socket.socket() as full, socket.socket() as one:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        one.connect(full.getsockname())
        begin = time.monotonic()
        r = echoc("ping", "-w", "0.4", "-W", "60", *full.getsockname())
    assert r.code == TIMEOUT and "connect: Connection timed out" in r.out, r
    assert time.monotonic() - begin < 30


def test_slow_answers_are_measured():
    """Times are what they are; nothing but the time is wrong."""
    with broken.Stream("delays", seconds=0.2) as server:
        r = echoc("ping", "-c", 2, "-i", "0.5", "--json", *server.words)
    o = r.json()
    assert r.code == OK and 200 <= o["rtt_ms"]["min"] < 1000 and o["connect_ms"]["max"] < 200, r


def test_late_answers_count():
    with broken.Datagram("delays", seconds=0.3) as server:
        r = echoc("ping", "--udp", "-c", 2, "-i", "0.5", "-W", "0.1", *server.words)
    assert "no answer within 0.1 s" in r.out and "(late)" in r.out, r


DEFECTS = [  # defect, size, exit code, what a line says
    ("cuts", 4096, DAMAGED, "damaged: cut at 2048 of 4096 bytes"),
    ("stops", 4096, DAMAGED, "damaged: cut at 2048 of 4096 bytes: the far side closed"),
    ("duplicates", 56, DAMAGED, "damaged: duplicated: at byte "),
    ("zeroes", 56, DAMAGED, "damaged: zeroed from byte 0 on"),
    ("changes", 56, DAMAGED, "damaged: changed: byte 100 is "),
    ("never_answers", 56, TIMEOUT, "no answer within 0.5 s"),
    ("never_reads", 56, TIMEOUT, "no answer within 0.5 s"),
    ("resets", 56, DAMAGED, "Connection reset by peer"),
    ("closes", 56, DAMAGED, "the far side closed the connection"),
]


@pytest.mark.parametrize("defect,size,code,text", DEFECTS, ids=[d[0] for d in DEFECTS])
def test_broken_stream(defect, size, code, text):
    with broken.Stream(defect) as server:
        r = echoc("ping", "-c", 4, "-i", "0.05", "-W", "0.5", "-s", size, *server.words)
    assert r.code == code and text in r.out, r


DATAGRAM_DEFECTS = [
    ("cuts", DAMAGED, "damaged: cut at 2048 of 4096 bytes", "damaged", 6),
    ("changes", DAMAGED, "damaged: changed: byte 4095 is ", "damaged", 6),
    ("zeroes", DAMAGED, "damaged: zeroed from byte 8 on", "damaged", 6),
    ("elsewhere", DAMAGED, "answered from 127.0.0.2:", "received", 0),
    ("elsewhere_too", DAMAGED, "answered from 127.0.0.2:", "duplicated", 0),
    ("duplicates", OK, "(duplicate)", "duplicated", 6),
    ("reorders", OK, "(reordered)", "reordered", 3),
    ("loses", OK, "no answer within 0.5 s", "lost", 2),
    ("never_answers", TIMEOUT, "no answer within 0.5 s", "lost", 6),
]


@pytest.mark.parametrize("defect,code,text,counter,count", DATAGRAM_DEFECTS,
                         ids=[d[0] for d in DATAGRAM_DEFECTS])
def test_broken_datagrams(defect, code, text, counter, count):
    with broken.Datagram(defect, other="127.0.0.2") as server:
        r = echoc("ping", "-u", "-c", 6, "-i", "0.05", "-W", "0.5", "-s", "4096", *server.words)
    assert r.code == code and text in r.out, r
    got = summary(r)[counter]
    # The last duplicate may come after the end.
    assert got == count or (defect == "duplicates" and got == count - 1), r


def test_nothing_is_lost_silently():
    """What was under way on a connection that broke is told, each."""
    with broken.Stream("half_and_reset") as server:
        r = echoc("ping", "-c", 3, "-i", "0.05", *server.words)
    assert r.code == DAMAGED and summary(r)["lost"] == 3, r
    assert "seq=1: Connection reset by peer" in r.out
    for seq in (2, 3):
        assert f"seq={seq}: lost with its connection" in r.out, r


def test_all_but_one_is_not_all():
    with broken.Datagram("once") as server:
        r = echoc("ping", "-u", "-c", 2500, "-i", "0.001", "-W", "0.2", "-q", *server.words)
        assert (summary(r)["received"], summary(r)["percent"]) == (1, 99.96), r


def test_thresholds():
    with broken.Datagram("loses") as server:
        words = ["ping", "-u", "-c", 6, "-i", "0.02", "-W", "0.3", *server.words]
        assert echoc(*words, "--max-loss", 50).code == OK
        assert echoc(*words, "--max-loss", 10).code == MISSED
    with broken.Datagram("delays", seconds=0.05) as server:
        words = ["ping", "-u", "-c", 3, "-i", "0.1", *server.words]
        assert echoc(*words, "--max-rtt", "1.5").code == OK
        assert echoc(*words, "--max-rtt", "0.02").code == MISSED


@pytest.mark.parametrize("flags", [[], ["--udp"], ["--connect-each"]], ids=str)
def test_refused(flags):
    r = echoc("ping", *flags, "-c", 2, *QUICK, "127.0.0.1", free_port())
    assert r.code == REFUSED and "Connection refused" in r.out and summary(r)["lost"] == 2, r


def test_server_comes_back(echod, tmp_path):
    """A connection that is lost is made again with the next message."""
    daemon = echod(TCP4.service(tmp_path))
    # Not so often that a stopping daemon would never see the connection idle.
    p = start("ping", "-i", "0.3", *target(daemon.services[0]), text=True)
    lines = []

    def until(text):
        while True:
            lines.append(p.stdout.readline())
            assert lines[-1], lines
            if text in lines[-1]:
                return
    until("seq=2 ")
    daemon.stop()
    until("the far side closed the connection")
    until("Connection refused")
    daemon.start()
    until("connected to ")
    until(" time=")
    p.send_signal(signal.SIGINT)
    assert p.wait(10) == OK
    p.stdout.close()
    p.stderr.close()


PERFORMANCE = re.compile(r"(\w+)=([\d.e+]+)(ms|%)?;([\d.]*);([\d.]*);([\d.]*)(?:;([\d.]*))?")


def test_nagios_ok(echod, tmp_path):
    service = echod(TCP4.service(tmp_path)).services[0]
    r = echoc("ping", "--nagios", "-w", "500,20%", "-c", "900,60%", *target(service))
    assert r.code == 0 and r.out.count("\n") == 1, r
    text, data = r.out.split(" | ")
    assert text.startswith("ECHO OK - tcp 127.0.0.1:")
    found = {m[1]: m for m in PERFORMANCE.finditer(data)}
    assert found["rta"][3] == "ms" and (found["rta"][4], found["rta"][5]) == ("500.000", "900.000")
    assert found["pl"].group(0) == "pl=0%;20;60;0;100"
    assert " ".join(m.group(0) for m in found.values()) == data.strip()


NAGIOS = [
    ("fine", ["-w", "500,20", "-c", "900,60"], 0, "OK"),
    ("fine", ["-w", "0.0001,20%", "-c", "900,60%"], 1, "WARNING"),
    ("fine", ["-w", "0.0001,20%", "-c", "0.0002,60%"], 2, "CRITICAL"),
    ("loses", ["-p", "6", "-w", "500,20%", "-c", "900,60%"], 1, "WARNING"),
    ("loses", ["-p", "6", "-w", "500,5%", "-c", "900,10%"], 2, "CRITICAL"),
    ("never_answers", [], 2, "CRITICAL"),
    ("changes", [], 2, "CRITICAL"),
    ("elsewhere", [], 2, "CRITICAL"),
]


@pytest.mark.parametrize("defect,words,code,state", NAGIOS)
def test_nagios_states(defect, words, code, state):
    with broken.Datagram(defect, other="127.0.0.2") as server:
        r = echoc("ping", "--nagios", "--udp", "-i", "0.02", "-W", "0.3", *words, *server.words)
    assert r.code == code and r.out.startswith(f"ECHO {state} - udp ") and " | " in r.out, r


def test_nagios_unknown():
    for words in (["name.invalid"], ["-w", "x", "127.0.0.1"], [], ["-q", "127.0.0.1"],
                  ["--json", "127.0.0.1"]):
        r = echoc("ping", "--nagios", *words)
        assert r.code == 3 and r.out.startswith("ECHO UNKNOWN - "), r
    assert echoc("ping", "--nagios", "127.0.0.1", free_port()).code == 2


def test_nagios_abbreviated():
    """getopt_long(3) takes a beginning of --nagios for it; then -w and -c are limits too."""
    with broken.Datagram("fine", other="127.0.0.2") as server:
        r = echoc("ping", "--nag", "--udp", "-w", "500,20%", "-c", "900,60%", *server.words)
    assert r.code == 0 and r.out.startswith("ECHO OK - udp "), r


def test_json_of_a_name_that_is_not_utf8():
    r = echoc("ping", "-c", "1", "--unix", "--json", os.fsdecode(b"/nowhere/\xff"))
    assert r.json()["target"] == "/nowhere/?", r


@pytest.mark.parametrize("words", [
    [], ["-c", "0", "h"], ["-i", "0", "h"], ["-s", "70000", "--udp", "127.0.0.1"], ["h:7", "x"],
    ["--connect-each", "--udp", "127.0.0.1"], ["-s", "0", "127.0.0.1"], ["--unix", "@a", "7"],
], ids=" ".join)
def test_usage(words):
    r = echoc("ping", *words)
    assert r.code in (USAGE, NAME) and r.out == "", r
