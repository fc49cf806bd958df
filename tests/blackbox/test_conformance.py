# SPDX-License-Identifier: ISC
"""The conformance script: that it tells right from wrong, and that echod passes it."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import broken
import harness
from grid import TRANSPORTS

TOP = Path(__file__).resolve().parents[2]
SCRIPT, COMPARE = (TOP / "tests/conformance" / n for n in ("conformance", "compare"))
DOCUMENT, README = TOP / "docs/conformance.md", TOP / "README.md"


def conformance(*words, code=None):
    """Run the script: its lines."""
    done = subprocess.run([sys.executable, str(SCRIPT), *map(str, words)], text=True,
                          capture_output=True, timeout=250, check=False,
                          stdin=subprocess.DEVNULL)
    assert code is None or done.returncode == code, f"{done.returncode}\n{done.stdout}{done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout.splitlines()


def outcomes(*words, code=None):
    """{id: (outcome, what was seen)}"""
    lines = map(json.loads, conformance(*words, "--json", code=code))
    return {x["id"]: (x["outcome"], x["seen"]) for x in lines}


ROWS = dict(re.match(r"(\S+) +(.*)$", line).groups() for line in conformance("--list"))


def test_every_check_is_explained():
    """docs/conformance.md has a line for each, with its source."""
    said = dict(re.findall(r"^\| `(\w+\.[\w-]+)` \| .* \| (.*) \|$", DOCUMENT.read_text(), re.M))
    assert said == {i: re.search(r"\(([^()]*)\)$", text)[1] for i, text in ROWS.items()}


def test_readme_has_every_check():
    """The table of README.md is of these checks, with these words, and echod passes them."""
    text = README.read_text()
    begin, end = ("<!-- made by make conformance -->",
                  "<!-- end of what make conformance made -->")
    made = text[text.index(begin):text.index(end)]
    head = re.search(r"^\| \| (.*) \|$", made, re.M)[1].split(" | ")
    assert head[0] == "echod" and len(head) == 7
    rows = re.findall(r"^\| `([\w.-]+)` (.*?) \| (.*) \|$", made, re.M)
    alike = re.findall(r"`(\w+\.[\w-]+)` \((.*?)\)(?=[,.])", made)
    assert sorted([r[0] for r in rows] + [a[0] for a in alike]) == sorted(ROWS)
    for name, said, *_ in rows + alike:
        assert ROWS[name].startswith(f"{said} ("), name
    assert [name for name, _, cells in rows if cells.split(" | ")[0] != "yes"] == []


def test_help_and_wrong_words():
    text = "\n".join(conformance("--help", code=0))
    assert "--hostile" in text and "Exit code" in text
    conformance(code=2)
    conformance("127.0.0.1", "0", code=2)
    conformance("127.0.0.1", "--only", "tcp.nothing", code=2)
    lines = conformance("127.0.0.1", "-", "-", code=69)
    assert lines[-1].startswith("0 ok, 0 failed")
    assert all(x.startswith("n/a") for x in lines[:-1])


def test_echod_on_loopback(echod, tmp_path):
    """What can be looked at without a network of one's own: nothing fails."""
    tcp, udp = (TRANSPORTS[n].service(tmp_path) for n in ("tcp4", "udp4"))
    echod(tcp, udp)
    found = outcomes("127.0.0.1", tcp.address[1], udp.address[1])
    assert set(found) == set(ROWS)
    assert {k: v for k, v in found.items() if v[0] == "fail"} == {}
    assert sum(v[0] == "ok" for v in found.values()) >= 16


def failures(words):
    return {k: v[1] for k, v in outcomes(*words).items() if v[0] == "fail"}


@pytest.mark.parametrize("defect,found", [
    ("fine", {"tcp.urgent": "lost"}),
    ("adds", {"tcp.silent": "spoke, or hung up", "tcp.bytes": "other bytes"}),
    ("zeroes", {"tcp.bytes": "other bytes", "tcp.large": "other bytes from 0 on"}),
    ("stops", {"tcp.large": "the end after 2,048 of 8,388,608 bytes"}),
    ("resets_at_half_close", {"tcp.half-close": "Connection reset by peer after 0 bytes"}),
    ("no_fin", {"tcp.half-close": "all bytes, but no end of file"}),
    ("closes", {"tcp.bytes": "0 of 7 bytes"})])
def test_defect_of_streams(defect, found):
    """A server with one defect fails the check of it."""
    with broken.Stream(defect) as server:
        assert failures([*server.words, "-", "--only", ",".join(found)]) == found


@pytest.mark.parametrize("defect,found", [
    ("fine", {}),
    ("cuts", {"udp.sizes": "2,048 of 2,049 bytes", "udp.largest": "2,048 of 65,507 bytes"}),
    ("duplicates", {"udp.amplify": "200 datagrams, 138,600 bytes, for 100 and 69,300"}),
    ("never_answers", {"udp.empty": "no answer", "udp.many": "0 of 100",
                       "udp.amplify": "no answer"}),
    ("elsewhere", {"udp.address": "127.0.0.3 answers"}),
    ("loses", {"udp.many": "67 of 100"})])
def test_defect_of_datagrams(defect, found):
    """The same for datagrams."""
    with broken.Datagram(defect, other="127.0.0.3") as server:
        host, port = server.words
        only = ["--only", ",".join([*found, "udp.ipv6"])]
        seen = failures([host, "-", port, "--second", "127.0.0.2", *only])
    assert seen == found


@pytest.mark.skipif(os.geteuid() != 0, reason="ports below 1024 need root")
def test_source_ports_that_are_answered():
    with broken.Datagram("fine") as server:
        host, port = server.words
        seen = failures([host, "-", port, "--only", "udp.source-ports"])
    assert seen == {"udp.source-ports": "all answered"}


def test_nobody_there():
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
        found = outcomes("127.0.0.1", port, "-", "--only", "tcp.bytes,tcp.half-close", code=1)
    assert found == {"tcp.bytes": ("fail", "Connection refused"),
                     "tcp.half-close": ("fail", "Connection refused")}


@pytest.mark.slow
@pytest.mark.serial
@pytest.mark.skipif(harness.SANITIZE != "", reason="its memory is looked at")
def test_echod_passes(tmp_path):
    """The checks that need a network of one's own, the hostile ones too."""
    done = subprocess.run(
        [sys.executable, str(COMPARE), "--echod", harness.ECHOD, "--server", "echod", "--quiet",
         "--cache", str(tmp_path), "--out", str(tmp_path / "table")],
        text=True, capture_output=True, timeout=280, check=False, stdin=subprocess.DEVNULL)
    if done.returncode == 77:
        pytest.skip(done.stderr.strip())
    wrong = re.findall(r"^echod failed: echod: (.*)$", done.stderr, re.M)
    assert wrong == [], done.stderr
    table = (tmp_path / "table").read_text()
    yes = re.findall(r"^\| `(\S+)` .* \| yes \|$", table, re.M)
    assert sorted(yes) == sorted(ROWS), table
