# SPDX-License-Identifier: ISC
"""echoc compare: one table for several servers, and for every model; nothing is left behind."""

import csv
import io
import os
import re
import shutil
import signal
import struct
import sys
import time

import pytest

import broken
import broken_load
import procs
from echoc import DAMAGED, NAME, OK, REFUSED, TIMEOUT, USAGE, echoc, start
from grid import DATAGRAM_PAIRS, STREAM_PAIRS, TCP4, usable
from harness import ECHOD, SLOW, free_port, wait_for

SHORT = ("-d", "0.1", "--warmup", "0.02", "--rounds", "2")
KEYS = ("rate", "ratio", "p50_us", "p99_us", "p99.9_us", "cpu_us", "system_cpu_us",
        "context_switches", "memory_mb", "processes", "threads", "errors")
REFUSE = os.path.join(os.path.dirname(__file__), "refuse.py")
MODELS = ("compare", "--models", "--echod", ECHOD)


def place(service):
    return f"{service.address[0]}:{service.address[1]}"


def check_json(result, names):
    assert result["command"] == "compare" and result["interrupted"] is False
    servers = {s["name"]: s for s in result["servers"]}
    assert set(servers) == set(names)
    for s in servers.values():
        assert set(KEYS) | {"name", "address", "note", "rounds", "verdict", "samples"} == set(s)
        assert set(s["samples"]) == set(KEYS)
        assert s["rounds"] == result["rounds"] == len(s["samples"]["rate"])
        assert s["rate"] > 0 and s["p50_us"] <= s["p99_us"] <= s["p99.9_us"]
    rates = [s["rate"] for s in result["servers"]]
    assert rates == sorted(rates, reverse=True)
    assert servers[result["best"]]["ratio"] == 1.0
    return servers


def test_targets(echod, tmp_path):
    a = echod(TCP4.service(tmp_path)).services[0]
    b = echod(TCP4.service(tmp_path, "iterative", "epoll")).services[0]
    r = echoc("compare", *SHORT, "-c", "4", "--json", f"one={place(a)}",
              os.fsdecode(b"tw\xff=") + place(b))
    assert r.code == OK, r
    servers = check_json(r.json(), ["one", "tw?"])
    for s in servers.values():
        assert s["errors"] == 0 and s["cpu_us"] is None and s["verdict"] == "ok"
    r = echoc("compare", *SHORT, place(a))
    assert r.code == OK and re.search(rf"^{place(a)} +\d+ +1\.00 ", r.out, re.M), r


def ours(pid):
    """echods below PID."""
    return [p for p, t in ((p, procs.title(p)) for p in procs.descendants(pid)) if "echod" in t]


@pytest.mark.serial
def test_every_model():
    """All pairs that there are, each with its account; the connections are new ones."""
    r = echoc(*MODELS, *SHORT, "--json", "-c", "4", seconds=120)
    assert r.code == OK, r
    assert r.json()["connect_each"] is True
    servers = check_json(r.json(), [f"{m}/{e}" for m, e in usable(STREAM_PAIRS)])
    for name, s in servers.items():
        assert s["errors"] == 0, s
        assert s["system_cpu_us"] > 0 and s["memory_mb"] > 0, (name, s)
        assert s["processes"] >= 3 and s["threads"] >= s["processes"], (name, s)
    # The kernel counts ticks: on a busy machine the cheapest may have none in so short a time.
    assert sum(s["cpu_us"] > 0 for s in servers.values()) > len(servers) / 2
    # supervisor, logger, 4 workers; supervisor, logger and a worker with 4 threads
    assert servers["prefork/blocking"]["processes"] == 6
    assert servers["prethread/blocking"]["threads"] >= 6
    assert servers["prethread/blocking"]["processes"] == 3


@pytest.mark.slow
@pytest.mark.serial
def test_the_lesson():
    """A process for each client is dearest, by far and on any machine; then a thread."""
    r = echoc(*MODELS, "-d", "0.4", "--rounds", "3", "--json", seconds=200)
    servers = {s["name"]: s for s in r.json()["servers"]}
    cost = {name: s["cpu_us"] for name, s in servers.items()}
    assert cost["fork/blocking"] > cost["thread/blocking"], cost
    assert cost["fork/blocking"] > cost["prefork/blocking"], cost
    assert servers["fork/blocking"]["rate"] < servers["prefork/blocking"]["rate"]


def test_persistent_and_udp():
    """One that serves a client at a time is given one; datagrams leave out what has no form."""
    r = echoc(*MODELS, *SHORT, "--persistent", "-c", "4", "--json", seconds=120)
    assert r.code == OK, r
    servers = {s["name"]: s for s in r.json()["servers"]}
    assert "1 connection" in servers["iterative/blocking"]["note"]
    assert servers["prefork/blocking"]["note"] is None
    r = echoc(*MODELS, *SHORT, "--udp", "-c", "4", "--csv", seconds=120)
    assert r.code == OK, r
    rows = list(csv.DictReader(io.StringIO(r.out)))
    assert {x["server"] for x in rows} == {f"{m}/{e}" for m, e in usable(DATAGRAM_PAIRS)}
    assert all(float(x["rate"]) > 0 for x in rows)


def test_refused_engine():
    """Where there may be no ring, the others are compared, and it is said once for each."""
    r = echoc(*MODELS, *SHORT, "-c", "4", "--json", seconds=120,
              prefix=[sys.executable, REFUSE, "EPERM"])
    assert r.code == OK, r
    assert {s["name"] for s in r.json()["servers"]} == {
        f"{m}/{e}" for m, e in STREAM_PAIRS if e != "io_uring"}
    for m, e in STREAM_PAIRS:
        assert (f"echod {m}/{e} is left out: " in r.err) == (e == "io_uring"), r


def test_damage_is_in_the_table(echod, tmp_path):
    good = echod(TCP4.service(tmp_path)).services[0]
    with broken_load.Stream("zeroes_some", size=4096) as bad:
        r = echoc("compare", *SHORT, "-s", "4096", "-c", "2", f"good={place(good)}",
                  f"bad={':'.join(bad.words)}")
    assert r.code == DAMAGED, r
    assert "damaged: bytes 1024 to 1087 of stream" in r.out


def test_no_echo_took_no_time():
    """Who answers nothing has no latency, and not the best one."""
    with broken.Stream("never_answers") as silent:
        r = echoc("compare", *SHORT, "--json", "-q", "-c", "2", "--timeout", "0.3",
                  f"silent={':'.join(silent.words)}")
    server = r.json()["servers"][0]
    assert r.code == TIMEOUT and server["rate"] == 0 and server["errors"] > 0, r
    for key in ("p50_us", "p99_us", "p99.9_us", "system_cpu_us", "context_switches"):
        assert server[key] is None and server["samples"][key] == [], key


@pytest.mark.skipif(not shutil.which("gnuplot"), reason="gnuplot is not installed")
def test_plots(tmp_path):
    out = tmp_path / "plots"
    r = echoc(*MODELS, *SHORT, "-c", "4", "--plot", out, seconds=120)
    assert r.code == OK, r
    for name in ("rate", "latency"):
        png = (out / f"{name}.png").read_bytes()
        assert png[:8] == b"\x89PNG\r\n\x1a\n" and struct.unpack(">II", png[16:24]) == (900, 560)
        svg = (out / f"{name}.svg").read_text()
        assert svg.rstrip().endswith("</svg>") and "fork/blocking" in svg
    assert len((out / "rate.dat").read_text().splitlines()) == 1 + len(usable(STREAM_PAIRS))


def test_without_gnuplot(echod, tmp_path, monkeypatch):
    service = echod(TCP4.service(tmp_path)).services[0]
    if setarch := shutil.which("setarch"):  # what the sanitizers' tests run it with
        (tmp_path / "setarch").symlink_to(setarch)
    monkeypatch.setenv("PATH", str(tmp_path))
    r = echoc("compare", *SHORT, "--plot", tmp_path / "plots", place(service))
    assert r.code == 71 and "gnuplot is not installed" in r.err and "rate/s" in r.out, r
    assert (tmp_path / "plots/plot.gp").exists()


@pytest.mark.parametrize("number, delay", [(signal.SIGINT, 0.05), (signal.SIGINT, 1.5),
                                           (signal.SIGTERM, 1.5)])
def test_interrupted(number, delay):
    """Whenever it is ended, nothing of what it started stays."""
    p = start(*MODELS, "-d", "5", "--rounds", "50", "-c", "4")
    time.sleep(delay)
    children = procs.descendants(p.pid)
    p.send_signal(number)
    p.communicate(timeout=60 * SLOW)
    wait_for("no echod left", lambda: not any(os.path.exists(f"/proc/{c}") for c in children), 1.0)


def test_killed():
    """Even if it is killed: the kernel tells its echods."""
    p = start(*MODELS, "-d", "5", "--rounds", "50", "-c", "4")
    wait_for("echods", lambda: len(ours(p.pid)) >= 3 * len(usable(STREAM_PAIRS)), 5.0)
    children = procs.descendants(p.pid)
    p.kill()
    p.communicate(timeout=60 * SLOW)
    wait_for("no echod left", lambda: not any(os.path.exists(f"/proc/{c}") for c in children), 2.0)


def test_errors(tmp_path):
    assert echoc("compare").code == USAGE
    assert echoc("compare", f"x=127.0.0.1:{free_port()}").code == REFUSED
    r = echoc("compare", "--models", "--echod", tmp_path / "nothing")
    assert r.code == NAME and "--echod FILE" in r.err
    false = tmp_path / "false"
    false.write_text("#!/bin/sh\necho 'no echo today' >&2\nexit 3\n")
    false.chmod(0o755)
    r = echoc("compare", "--models", "--echod", false)
    assert r.code == 71 and "no echo today" in r.err, r
    with broken.Stream("fine") as s:
        assert echoc("compare", *SHORT, "--nonsense", ":".join(s.words)).code == USAGE


def test_help_fits_a_screen():
    r = echoc("compare", "--help")
    assert r.code == OK and len(r.out.splitlines()) <= 60
    assert max(map(len, r.out.splitlines())) <= 80
