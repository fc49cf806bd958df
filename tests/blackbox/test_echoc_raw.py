# SPDX-License-Identifier: ISC
"""echoc load --raw: each latency of a run, against which its histogram is checked."""

import re
from fractions import Fraction

import pytest

import broken_load
from echoc import DAMAGED, OK, echoc, target
from grid import TCP4, UDP4

PERCENTILES = ("50", "75", "90", "95", "99", "99.9", "99.99", "99.999")
SHORT = ("-d", "0.5", "--warmup", "0.1")


def measure(path, *words, code=OK):
    """The JSON of a run, and its latencies in microseconds in the order of the file."""
    r = echoc("load", "--json", "--raw", path, *words)
    assert r.code == code, r
    lines = path.read_text().splitlines()
    assert all(re.fullmatch(r"\d+\.\d{3}", x) for x in lines)
    return r.json(), [float(x) for x in lines]


def nearest_rank(ordered, percent):
    """The smallest value that PERCENT of all do not pass, exactly."""
    rank = -(-Fraction(percent) * len(ordered) // 100)
    return ordered[max(int(rank), 1) - 1]


def check(result, values):
    latency = result["latency_us"]
    assert len(values) == latency["count"] > 0
    ordered = sorted(values)
    for percent in PERCENTILES:
        assert latency[f"p{percent}"] == pytest.approx(nearest_rank(ordered, percent), rel=0.05)
    assert latency["min"] == pytest.approx(ordered[0])
    assert latency["max"] == pytest.approx(ordered[-1])
    assert latency["mean"] == pytest.approx(sum(values) / len(values), rel=1e-6)


@pytest.mark.parametrize("words", [
    ("-c", "16"), ("-c", "8", "-t", "2", "-w", "4", "-s", "1-4000"), ("-c", "8", "-r", "2000"),
    ("-c", "4", "--connect-each", "--sources", "16"), ("-c", "4", "-w", "8", "--udp")],
    ids=" ".join)
def test_percentiles_agree(echod, tmp_path, words):
    transport = UDP4 if "--udp" in words else TCP4
    service = echod(transport.service(tmp_path), cli=True).services[0]
    result, values = measure(tmp_path / "raw", *SHORT, *[w for w in words if w != "--udp"],
                             *target(service))
    check(result, values)
    assert len(values) == result["received"] == result["sent"] - result["datagrams"]["lost"]


def test_a_count_is_exact(echod, tmp_path):
    """Neither more nor less than asked for, though there was a warm-up."""
    service = echod(TCP4.service(tmp_path)).services[0]
    result, values = measure(tmp_path / "raw", "-n", "150001", "-c", "7", "-t", "3",
                             "--warmup", "0.1", *target(service))
    assert len(values) == 150001
    check(result, values)


def test_a_stall_is_in_it(tmp_path):
    """What 200 ms without an answer do to a fixed rate, one by one."""
    with broken_load.Stream("stalls", at=0.4, seconds=0.2) as s:
        result, values = measure(tmp_path / "raw", "-c", "4", "-r", "400", "-d", "1",
                                 "--warmup", "0", *s.words)
    check(result, values)
    assert len(values) == 400
    assert sum(v > 50e3 for v in values) >= 40


def test_a_failed_run_leaves_it(tmp_path):
    """The files say what was measured, whatever the verdict is."""
    with broken_load.Stream("zeroes_some", size=4096) as s:
        result, values = measure(tmp_path / "raw", "-c", "2", "-s", "4096", *SHORT, *s.words,
                                 code=DAMAGED)
    assert len(values) == result["latency_us"]["count"]


def test_a_file_that_cannot_be(echod, tmp_path):
    service = echod(TCP4.service(tmp_path)).services[0]
    r = echoc("load", "-n", "10", "--warmup", "0", "--raw", tmp_path / "no/raw", *target(service))
    assert r.code == 71 and "no/raw: No such file or directory" in r.err, r
