# SPDX-License-Identifier: ISC
"""The journal as an administrator asks it: by unit, by field, with explanations."""

import pytest

import clients
from configs import set_key
from harness import wait_for

READY = "7a9a4b23d9324604b0534189085311be"
CONNECTION = "15e20511ecf64190859877d2107dd1fe"


def test_fields(machine):
    """Every record has what syslog needs; those of a service have its name."""
    machine.systemctl("reload", "echod")
    records = [r for r in machine.journal("_SYSTEMD_UNIT=echod.service", "_COMM=echod")]
    assert records
    for record in records:
        assert record["SYSLOG_IDENTIFIER"] == "echod", record
        assert record["SYSLOG_FACILITY"] == "3", record
        assert record["_TRANSPORT"] == "journal", record
        assert "PRIORITY" in record and "SYSLOG_PID" in record, record
    main = str(machine.inner(machine.main()))
    ready = machine.journal("-b", f"MESSAGE_ID={READY}")
    assert {r["SYSLOG_PID"] for r in ready} == {main}, "a record is of who says it"
    assert {r["ECHOD_SERVICES"] for r in ready} == {"2"}
    tcp = machine.messages("ECHOD_SERVICE=echo-tcp")
    assert tcp and not any("echo-udp" in m for m in tcp)
    assert set(machine.run("journalctl", "-F", "ECHOD_SERVICE").stdout.split()) == \
        {"echo-tcp", "echo-udp"}


def test_catalogue(machine):
    """journalctl -x explains."""
    out = machine.run("journalctl", "--no-pager", "-x", f"MESSAGE_ID={READY}").stdout
    assert "Subject: " in out and "Defined-By: echod" in out, out
    assert "@" not in out, "a field that the record does not have"
    known = machine.run("journalctl", "--list-catalog").stdout
    assert READY in known
    ids = {r.get("MESSAGE_ID") for r in machine.journal("_SYSTEMD_UNIT=echod.service",
                                                        "_COMM=echod")} - {None}
    assert ids and all(i in known for i in ids)


def connection_record(machine, host="127.0.0.1"):
    """The record of a client of ours that sent 11 bytes."""
    mark = machine.mark()
    with clients.connect(machine, host) as s:
        port = s.getsockname()[1]
        assert clients.answer(s, b"eleven here") == b"eleven here"
    record = machine.wait_message("connection service=echo-tcp", f"MESSAGE_ID={CONNECTION}",
                                  after=mark)
    return port, record


def test_connections(machine):
    """log.connections: one record for each, that can be found by its peer."""
    with clients.connect(machine) as s:
        assert clients.answer(s, b"x") == b"x"
    set_key(machine, "connections", "true")
    machine.systemctl("reload", "echod")
    port, record = connection_record(machine)
    assert record["ECHOD_SERVICE"] == "echo-tcp"
    assert record["ECHOD_PEER"] == f"127.0.0.1:{port}"
    assert (record["ECHOD_BYTES_IN"], record["ECHOD_BYTES_OUT"]) == ("11", "11")
    assert int(record["ECHOD_DURATION_USEC"]) >= 0
    assert record["ECHOD_REASON"]
    assert record["PRIORITY"] == "6"
    assert len(machine.journal(f"ECHOD_PEER=127.0.0.1:{port}")) == 1


def test_client_prefix(machine):
    """log.client hides as much of the address as was asked for."""
    set_key(machine, "connections", "true")
    for value, v4, v6 in (('"prefix"', "127.0.0.0/24", "::/48"), ('"none"', "-", "-")):
        set_key(machine, "client", value)
        machine.systemctl("reload", "echod")
        for host, peer in (("127.0.0.1", v4), ("::1", v6)):
            _, record = connection_record(machine, host)
            assert record.get("ECHOD_PEER", "-") == peer, record
            assert host not in record["MESSAGE"], record


def test_level(machine):
    """What is less important than log.level does not come."""
    set_key(machine, "level", '"warning"')
    machine.systemctl("restart", "echod")
    machine.systemctl("restart", "echod")
    mark = machine.mark()
    machine.systemctl("restart", "echod")
    assert not machine.messages("_COMM=echod", after=mark)


def test_targets(machine):
    """By standard error the level is kept (and parsed from <N>); syslog comes in by syslog's
    socket."""
    for target, transport in (("stderr", "stdout"), ("syslog", "syslog")):
        set_key(machine, "target", f'"{target}"')
        mark = machine.mark()
        machine.systemctl("restart", "echod")
        record = machine.wait_message("ready: ", "-u", "echod.service", f"_TRANSPORT={transport}",
                                      after=mark)
        assert record["PRIORITY"] == "5", record
        assert record["SYSLOG_IDENTIFIER"] == "echod"
        assert not record["MESSAGE"].startswith("<")
        if target == "syslog":
            assert record["SYSLOG_FACILITY"] == "3"


@pytest.mark.parametrize("target", ["auto", "stderr"])
def test_to_a_file(machine, target):
    """With StandardError= a file the log is there: plain lines with the time.  JOURNAL_STREAM is
    set then as well, for standard output."""
    machine.write("/etc/systemd/system/echod.service.d/log.conf",
                  "[Service]\nStandardError=append:/var/log/echod.log\n")
    set_key(machine, "target", f'"{target}"')
    machine.systemctl("daemon-reload")
    mark = machine.mark()
    machine.systemctl("restart", "echod")
    lines = wait_for("a ready line", lambda: [
        x for x in machine.read("/var/log/echod.log").splitlines() if "ready: " in x], 2.0)
    assert " notice: ready: " in lines[0], lines
    assert not lines[0].startswith("<"), lines
    assert not machine.journal(f"MESSAGE_ID={READY}", after=mark)
