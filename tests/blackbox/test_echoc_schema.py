# SPDX-License-Identifier: ISC
"""The JSON of the client is what docs/schema says: every field, and no other."""

import copy
import json
import signal
from pathlib import Path

import pytest

import broken_load
from echoc import DAMAGED, OK, REFUSED, echoc, start, target
from grid import TCP4, UDP4
from harness import ECHOD, SLOW, free_port, wait_for

jsonschema = pytest.importorskip("jsonschema", reason="python3-jsonschema is not installed")

FOLDER = Path(__file__).resolve().parents[2] / "docs/schema"
COMMANDS = ("ping", "load", "compare")
LOAD = ("-c", "4", "-d", "0.3", "--warmup", "0.05")
COMPARE = ("-d", "0.1", "--warmup", "0.02", "--rounds", "2")


def schema(command):
    return json.loads((FOLDER / f"echoc-{command}.json").read_text())


def valid(command, value):
    jsonschema.Draft7Validator(schema(command)).validate(value)
    return value


def run(command, *words, code=OK, seconds=60):
    r = echoc(command, "--json", *words, seconds=seconds)
    assert r.code == code, r
    return valid(command, r.json())


def objects(node):
    """Each part of a schema that says which fields an object has."""
    if isinstance(node, dict):
        if "properties" in node:
            yield node
        for inner in node.values():
            yield from objects(inner)


@pytest.mark.parametrize("command", COMMANDS)
def test_schemas_are_complete(command):
    """Valid, closed, and with a sentence for each field."""
    whole = schema(command)
    jsonschema.Draft7Validator.check_schema(whole)
    found = list(objects(whole))
    assert found[0] is whole
    for node in found:
        assert node["additionalProperties"] is False
        assert set(node["required"]) <= set(node["properties"])
        for name, field in node["properties"].items():
            assert field["description"].endswith("."), name


@pytest.fixture
def servers(echod, tmp_path):
    """The words for a TCP and a UDP server."""
    daemon = echod(TCP4.service(tmp_path), UDP4.service(tmp_path))
    return [target(s) for s in daemon.services]


def test_ping(servers):
    tcp, udp = servers
    assert run("ping", "-c", "2", "-i", "0.01", *tcp)["connect_ms"] is not None
    assert run("ping", "-c", "2", "-i", "0.01", *udp)["connect_ms"] is None
    r = run("ping", "-c", "1", "--udp", "127.0.0.1", free_port(), code=REFUSED)
    assert r["rtt_ms"] is None and r["problem"] and r["result"] == "refused"


@pytest.mark.parametrize("words", [(), ("-r", "500"), ("--connect-each",),
                                   ("-s", "1-900", "-w", "3"), ("--udp", "-w", "2"),
                                   ("-d", "1.2")], ids=" ".join)
def test_load(servers, words):
    tcp, udp = servers
    words = [w for w in words if w != "--udp"] + (udp if "--udp" in words else tcp)
    assert run("load", *LOAD, *words)["latency_us"]["p50"] > 0


def test_load_that_is_damaged():
    with broken_load.Stream("zeroes_some", size=4096) as s:
        result = run("load", *LOAD, "-s", "4096", *s.words, code=DAMAGED)
    assert result["damages"]


def test_load_that_is_interrupted(echod, tmp_path):
    daemon = echod(TCP4.service(tmp_path))
    p = start("load", "--json", "-c", "3", "-d", "1000", *target(daemon.services[0]))
    wait_for("clients", lambda: daemon.count("connections_active") >= 3, 2.0)
    p.send_signal(signal.SIGINT)
    out, err = p.communicate(timeout=30 * SLOW)
    assert p.returncode == OK, err
    assert valid("load", json.loads(out))["interrupted"] is True


def test_compare(servers):
    host, port = servers[0][-2:]
    result = run("compare", *COMPARE, "-c", "4", f"one={host}:{port}", f"{host}:{port}")
    assert len(result["servers"]) == 2


@pytest.mark.serial
def test_compare_models():
    result = run("compare", "--models", "--echod", ECHOD, "--persistent", *COMPARE, "-c", "4",
                 seconds=120)
    assert any(s["note"] for s in result["servers"])
    assert all(s["cpu_us"] is not None for s in result["servers"])


def test_schemas_bite(servers):
    """A field that is missing, unknown or of another type is seen."""
    good = run("load", *LOAD, *servers[0])

    def changed(change):
        bad = copy.deepcopy(good)
        change(bad)
        return bad

    for change in (lambda x: x.pop("rate"), lambda x: x["client"].pop("why"),
                   lambda x: x["failures"].update(other=1), lambda x: x.update(sent="1"),
                   lambda x: x["latency_us"].pop("p99.9")):
        with pytest.raises(jsonschema.ValidationError):
            valid("load", changed(change))
