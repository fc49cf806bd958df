# SPDX-License-Identifier: ISC
"""echoc load: the load is what was asked, what is measured is true, and damage is named."""

import csv
import io
import os
import re
import signal
import time

import pytest

import broken
import broken_load
from echoc import DAMAGED, MISSED, OK, REFUSED, TIMEOUT, USAGE, echoc, start, target
from grid import TCP4, TRANSPORTS, UDP4, datagram_grid, stream_grid
from harness import SLACK, SLOW, free_port, wait_for

QUICK = ("-d", "0.3", "--warmup", "0.05", "--json")
NUMBER = (int, float)
LATENCY = {"count": int}
PERCENTILES = ("min", "mean", "stddev", "max", "p50", "p75", "p90", "p95", "p99", "p99.9",
               "p99.99", "p99.999")
SCHEMA = {
    "command": str, "protocol": str, "address": str, "seconds": NUMBER, "interrupted": bool,
    "sent": int, "received": int, "completed": int, "unsent": int, "bytes": int,
    "connects": int, "rate": NUMBER, "bytes_per_second": NUMBER, "damages": list,
    "settings": {"connections": int, "threads": int, "depth": int, "rate": NUMBER,
                 "sizes": list, "size_range": bool, "duration": NUMBER, "count": int,
                 "warmup": NUMBER, "timeout": NUMBER, "connect_each": bool},
    "latency_us": LATENCY, "connect_us": LATENCY,
    "failures": dict.fromkeys(("refused", "timeout", "unreachable", "reset", "closed", "local"),
                              int),
    "damage": dict.fromkeys(("cut", "foreign", "duplicated", "reordered", "zeroed", "changed",
                             "extra"), int),
    "datagrams": {"lost": int, "duplicated": int, "reordered": int},
    "client": {"cpu": NUMBER, "waited": NUMBER, "limited": bool, "why": (str, type(None)),
               "lag_us": LATENCY},
    "intervals": list,
}


def check_schema(value, schema, path="result"):
    if not isinstance(schema, dict):
        assert isinstance(value, schema), f"{path}: {value!r}"
        return
    optional = set(PERCENTILES) if schema is LATENCY else set()
    assert set(value) - optional == set(schema), f"{path}: {sorted(set(value) ^ set(schema))}"
    for key, inner in schema.items():
        check_schema(value[key], inner, f"{path}.{key}")


def load(*words, code=OK):
    """Run with --json, check its form, return it."""
    r = echoc("load", *words)
    assert r.code == code, r
    result = r.json()
    check_schema(result, SCHEMA)
    return result


def troubles(result):
    return {k: v for part in ("failures", "damage", "datagrams")
            for k, v in result[part].items() if v}


def clients(cell):
    """Connections that CELL serves at the same time."""
    return min(4, cell.executors or 4)


@stream_grid(quick=("tcp4", "tcp6", "unix"))
def test_every_model(echod, cell, tmp_path):
    daemon = echod(cell.service(tmp_path))
    result = load("-c", clients(cell), "-s", "1-9000", "-n", "100", "--warmup", "0",
                  "--json", *target(daemon.services[0]))
    assert result["received"] == result["sent"] == 100 and not troubles(result)


@datagram_grid()
def test_datagrams(echod, cell, tmp_path):
    """A window of datagrams, empty ones too."""
    service = cell.service(tmp_path)
    echod(service, cli=True)
    result = load("-c", "4", "-w", "4", "-s", "0,1,7,64,1400", *QUICK, *target(service))
    assert result["received"] > 100 / SLOW
    assert not any(result["damage"].values()) and not any(result["failures"].values())
    assert result["datagrams"]["duplicated"] == 0


@pytest.fixture
def server(echod, tmp_path):
    """A good server; its words for the command line."""
    return target(echod(TCP4.service(tmp_path, max_clients=3000)).services[0])


def test_the_sum_is_right(echod, tmp_path):
    """Exactly the count, verified; the warm-up comes on top."""
    daemon = echod(TCP4.service(tmp_path))
    result = load("-c", "7", "-t", "2", "-n", "1001", "-s", "100", "--warmup", "0.2", "--json",
                  *target(daemon.services[0]))
    assert result["sent"] == result["received"] == result["latency_us"]["count"] == 1001
    assert result["connects"] == 7
    echoed = daemon.count("bytes_in")
    assert echoed >= 100 * 1001 + 1000, "no warm-up?"
    assert echoed == daemon.count("bytes_out")


@pytest.mark.parametrize("words", [("-s", "65536", "-w", "8", "-c", "2"), ("-s", "1M", "-c", "2"),
                                   ("-s", "1", "-w", "100"), ("-c", "1000"),
                                   ("-s", "10,20K,3", "-w", "5", "-t", "3", "--spin")],
                         ids=" ".join)
def test_shapes(server, words):
    result = load(*words, *QUICK, *server)
    assert result["received"] == result["sent"] > 0 and not troubles(result)


def test_fewer_messages_than_threads(server):
    """It ends with its last message, not with --duration."""
    result = load("-n", "1", "-t", "2", "-c", "2", "--warmup", "0", "--json", *server)
    assert result["sent"] == result["received"] == 1
    assert result["seconds"] < 60


def test_a_connection_for_each(server):
    result = load("--connect-each", "--sources", "16", "-c", "8", *QUICK, *server)
    assert result["connects"] >= result["received"] > 50 and not troubles(result)
    assert result["connect_us"]["count"] == result["connects"]


@pytest.mark.serial
@pytest.mark.parametrize("words", [("-c", "10"), ("-c", "64", "-t", "2"), ("-c", "3", "--udp")],
                         ids=" ".join)
def test_the_rate_is_kept(echod, tmp_path, words):
    """Within 1 %: the schedule cannot drift, and nothing is left out."""
    transport = UDP4 if "--udp" in words else TCP4
    service = echod(transport.service(tmp_path), cli=True).services[0]
    result = load(*[w for w in words if w != "--udp"], "-r", "1000", "-d", "1", "--warmup", "0.2",
                  "--json", *target(service))
    assert abs(result["sent"] / result["seconds"] - 1000) <= 10
    assert abs(result["rate"] - 1000) <= 10 * SLACK
    assert result["unsent"] == 0


def test_a_stall_is_not_hidden(tmp_path):
    """200 ms without an answer delay a fifth of what was due in a second."""
    with broken_load.Stream("stalls", at=0.4, seconds=0.2) as s:
        result = load("-c", "4", "-r", "400", "-d", "1", "--warmup", "0", "--json", *s.words)
    latency = result["latency_us"]
    assert latency["max"] >= 150e3 and latency["p99"] >= 120e3, latency
    assert latency["p90"] >= 40e3, latency
    assert latency["count"] == 400


def test_histogram_and_csv(server, tmp_path):
    path = tmp_path / "out.hgrm"
    r = echoc("load", "-n", "500", "--warmup", "0", "--csv", "--histogram", path, *server)
    assert r.code == OK, r
    rows = list(csv.DictReader(io.StringIO(r.out)))
    assert len(rows) == 1 and rows[0]["received"] == "500" and float(rows[0]["p99.999_us"]) > 0
    text = path.read_text()
    assert "Total count    =          500]" in text
    lines = [x.split() for x in text.splitlines() if re.match(r" +\d", x)]
    assert lines[-1][1] == "1.000000000000" and lines[-1][2] == "500"
    assert float(lines[-1][0]) == pytest.approx(float(rows[0]["max_us"]))


def test_text_and_progress(server):
    r = echoc("load", "-c", "2", "-d", "1.2", "--warmup", "0", "--progress", *server)
    assert r.code == OK, r
    assert "every byte verified" in r.out and "99.999 %" in r.out
    assert re.search(r"^ +0 s +all connected, measuring\n +1 s +\d+/s +p50 .* p99 ", r.err,
                     re.M), r
    assert echoc("load", "-d", "0.1", "--warmup", "0", *server).err == ""


def test_thresholds(server):
    assert echoc("load", *QUICK, "--min-rate", "1e9", *server).code == MISSED
    assert echoc("load", *QUICK, "--max-p99", "0.000001", *server).code == MISSED
    assert echoc("load", *QUICK, "--min-rate", "1", "--max-p99", "100", *server).code == OK


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted(server, number):
    """Ctrl-C: the result of what was measured, at once."""
    p = start("load", "-d", "1000", "--warmup", "0", "-c", "4", *server)
    time.sleep(0.5)
    p.send_signal(number)
    began = time.monotonic()
    out, err = p.communicate(timeout=10 * SLOW)
    assert time.monotonic() - began < 1.0 * SLACK * SLOW
    assert p.returncode == OK and b"every byte verified" in out, (out, err)


def broken_load_result(server, *words, code=DAMAGED):
    r = echoc("load", "-d", "0.5", "--warmup", "0", "--timeout", "0.4", *words, "--json",
              *server.words)
    assert r.code == code, r
    return r.json()


STREAM_DAMAGES = [
    ("loses_tail", "cut", r"bytes \d+ to \d+ of stream \d+ are missing: a message of 4096 was "
     r"cut at 2048$"),
    ("cuts", "cut", r"a message of 4096 was cut at 2048$"),
    ("swaps", "foreign", r"byte 0 of stream (\d+) belongs to stream (?!\1)\d+ \(its byte 0"),
    ("reorders", "reordered", r"byte 2048 of stream \d+ came reordered, before byte 0"),
    ("duplicates", "duplicated", r"bytes \d+ to \d+ of stream \d+ are duplicated at byte 4096"),
    ("zeroes_some", "zeroed", r"bytes 1024 to 1087 of stream \d+ are zeroed"),
    ("zeroes", "zeroed", r"bytes 0 to \d+ of stream \d+ are zeroed"),
    ("changes", "changed", r"bytes 100 to 100 of stream \d+ are changed"),
]


@pytest.mark.parametrize("defect, kind, text", STREAM_DAMAGES, ids=[x[0] for x in STREAM_DAMAGES])
def test_damaged_streams(defect, kind, text):
    with broken_load.Stream(defect, size=4096) as s:
        result = broken_load_result(s, "-c", "2", "-s", "4096")
    assert set(k for k, v in result["damage"].items() if v) == {kind}, result
    assert all(d["kind"] == kind for d in result["damages"])
    assert re.search(text, result["damages"][0]["text"]), result["damages"]


def test_a_greeting():
    """Bytes that nobody sent: before or after ours, as it happens."""
    with broken.Stream("adds") as s:
        result = broken_load_result(s, "-c", "2")
    assert set(k for k, v in result["damage"].items() if v) <= {"changed", "extra"}
    assert re.match(r"bytes 0 to 23 of stream \d+ are changed|24 bytes more than the 0 of stream",
                    result["damages"][0]["text"]), result["damages"]


def test_byte_40961():
    with broken_load.Stream("crosses", size=65536) as s:
        result = broken_load_result(s, "-c", "2", "-s", "65536")
    first = result["damages"][0]
    assert first["kind"] == "foreign" and first["at"] % 65536 == 40961
    assert re.match(r"byte \d+ of stream (\d+) belongs to stream (?!\1)\d+ \(its byte \d+; 100 "
                    r"bytes\): from byte 40961 of a message of 65536", first["text"]), first


@pytest.mark.parametrize("defect, code, name", [
    ("resets", DAMAGED, "reset"), ("closes", DAMAGED, "closed"),
    ("never_answers", TIMEOUT, "timeout"), ("never_reads", TIMEOUT, "timeout")])
def test_failures(defect, code, name):
    with broken.Stream(defect) as s:
        result = broken_load_result(s, "-c", "2", code=code)
    assert result["failures"][name] > 0 and result["received"] == 0, result
    assert not any(result["damage"].values())


DATAGRAM_DEFECTS = [
    ("cuts", DAMAGED, "damage", "cut"), ("zeroes", DAMAGED, "damage", "zeroed"),
    ("changes", DAMAGED, "damage", "changed"), ("duplicates", OK, "datagrams", "duplicated"),
    ("reorders", OK, "datagrams", "reordered"), ("loses", OK, "datagrams", "lost"),
    ("elsewhere", TIMEOUT, "datagrams", "lost"), ("never_answers", TIMEOUT, "datagrams", "lost"),
]


@pytest.mark.parametrize("defect, code, part, name", DATAGRAM_DEFECTS,
                         ids=[x[0] for x in DATAGRAM_DEFECTS])
def test_damaged_datagrams(defect, code, part, name):
    with broken.Datagram(defect) as s:
        result = broken_load_result(s, "--udp", "-c", "1", "-w", "4", "-s", "4096", code=code)
    assert result[part][name] > 0, result
    if part == "datagrams":
        assert not any(result["damage"].values()), result["damages"]
    if name == "cut":
        assert "a message of 4096 was cut at 2048" in result["damages"][0]["text"]


def test_a_loss_is_nothing_else():
    """What is not back is lost, all of it, and nothing overtook it."""
    with broken.Datagram("loses") as s:
        r = echoc("load", "--udp", "--json", "-c", "1", "-w", "4", "-r", "300", "-d", "0.5",
                  "--warmup", "0", "--timeout", "0.3", *s.words)
    o = r.json()
    assert 0 < o["received"] < o["sent"], r
    assert o["datagrams"] == {"lost": o["sent"] - o["received"], "duplicated": 0,
                              "reordered": 0}, r


def test_silence_from_the_begin():
    """Where nothing comes back in the warm-up already, nothing is measured, and all is not well."""
    with broken.Datagram("never_answers") as s:
        r = echoc("load", "--udp", "-c", "2", "-d", "0.2", "--warmup", "0.1", "--timeout", "0.4",
                  *s.words)
    assert r.code == TIMEOUT and "lost 2" in r.out, r


def test_refused_and_usage():
    port = free_port()
    assert echoc("load", "127.0.0.1", port).code == REFUSED
    for words in (("-c", "0"), ("-s", "0"), ("--udp", "-s", "65508"), ("-d", "0"),
                  ("--connect-each", "-w", "2"), ("--connect-each", "--udp"), ("-r", "0"),
                  ("-s", "64-1"), ("--nonsense",)):
        assert echoc("load", *words, "127.0.0.1", port).code == USAGE, words
    assert echoc("load").code == USAGE


def test_help_fits_a_screen():
    r = echoc("load", "--help")
    assert r.code == OK and len(r.out.splitlines()) <= 60
    assert max(map(len, r.out.splitlines())) <= 80


def test_a_server_that_comes_back(echod, tmp_path):
    """A worker dies: the failures are counted, and the load goes on."""
    daemon = echod(TCP4.service(tmp_path, "prefork", "epoll", workers=1))
    p = start("load", "-c", "4", "-d", "2", "--warmup", "0", "--json",
              *target(daemon.services[0]))
    wait_for("clients", lambda: daemon.count("connections_active") == 4, 2.0)
    os.kill(daemon.workers()[0], signal.SIGKILL)
    out, err = p.communicate(timeout=30 * SLOW)
    assert p.returncode == DAMAGED, (out, err)
    lost = sum(int(n) for n in re.findall(rb'"(?:reset|closed)": (\d+)', out))
    assert 1 <= lost <= 4, out  # one of the four may be the look before the load
    daemon.expect_error("died")
    daemon.check_counters = False
