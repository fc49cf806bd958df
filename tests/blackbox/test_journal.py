# SPDX-License-Identifier: ISC
"""Where the log goes, and what of it: the journal's fields, its absence, its silence."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

import journald
import shim
from grid import TCP4, TRANSPORTS, UDP4
from harness import LINE, wait_for
from talk import exchange, payload, ping

CATALOGUE = Path(__file__).resolve().parents[2] / "systemd/echod.catalog"
PROBLEM = journald.problem()
needs_namespace = pytest.mark.skipif(bool(PROBLEM), reason=PROBLEM)
SERVICE = dict(model="prefork", engine="epoll", workers=2)
CONNECTIONS = {"connections": True}
READY = {"MESSAGE": "ready: 1 services, 1 listeners, 2 workers"}


@pytest.fixture
def journal():
    j = journald.Journald().start()
    yield j
    j.stop()


def make(echod, journal, *services, stream=True, log=None, dev="", **options):
    """A daemon whose journal is JOURNAL, not started; with STREAM its standard error, a file,
    is said to lead there."""
    d = echod(*services, ready=False, prefix=journal.prefix(dev),
              top={"log": {"level": "debug", **(log or {})}}, **options)
    d.log_file.touch()
    d.options["env"] = {**d.options.get("env", {}), "JOURNAL_STREAM":
                        journald.stream_of(d.log_file) if stream else "1:2"}
    d.check_counters = False  # SIGUSR1's answer is in the journal
    return d


def start(echod, journal, *services, **how):
    d = make(echod, journal, *services, **how)
    d.spawn()
    journal.wait(**READY)
    return d


def stop(d, journal):
    """Stop D, and wait until all that it said has been read."""
    assert d.stop() == 0
    journal.wait(MESSAGE="stopped")


def logger_of(d):
    return wait_for("the logger", lambda: [p for p, t in d.processes().items()
                                           if t == "echod: logger"])[0]


def connections(d, n):
    for i in range(n):
        s = d.services[0].connect()
        ping(s, b"%d" % i)
        s.close()


@needs_namespace
@pytest.mark.parametrize("log", [{}, {"target": "auto"}, {"target": "journal"}])
def test_native_records(journal, echod, tmp_path, log):
    """Each record has the fields of its event, and those that every record has."""
    d = start(echod, journal, TCP4.service(tmp_path, **SERVICE), log={**CONNECTIONS, **log},
              stream=log.get("target") != "journal")
    s = d.connect()
    ping(s, b"seven..")
    peer = "%s:%d" % s.getsockname()
    s.close()
    record = dict(journal.wait(ECHOD_REASON="eof"))
    seconds = int(record.pop("ECHOD_DURATION_USEC")) / 1e6
    assert re.fullmatch("[0-9a-f]{32}", record.pop("MESSAGE_ID"))
    assert int(record.pop("SYSLOG_PID")) in d.workers()
    assert abs(int(record.pop("ECHOD_TIME_USEC")) / 1e6 - time.time()) < 60
    assert record == {
        "MESSAGE": f"connection service=echo-tcp peer={peer} reason=eof bytes_in=7 bytes_out=7 "
                   f"seconds={seconds:.3f}",
        "PRIORITY": "6", "SYSLOG_IDENTIFIER": "echod", "SYSLOG_FACILITY": "3",
        "ECHOD_SERVICE": "echo-tcp", "ECHOD_PEER": peer, "ECHOD_REASON": "eof",
        "ECHOD_BYTES_IN": "7", "ECHOD_BYTES_OUT": "7"}
    ready = journal.find(**READY)[0]
    assert ready["ECHOD_WORKERS"] == "2" and ready["SYSLOG_PID"] == str(d.pid)
    address = "%s:%d" % d.services[0].address
    assert journal.find(ECHOD_SERVICE="echo-tcp", ECHOD_ADDRESS=address, PRIORITY="6")
    assert journal.find(ECHOD_MODEL="prefork", ECHOD_ENGINE="epoll", ECHOD_WORKERS="2")
    stop(d, journal)
    assert journal.records[-1]["MESSAGE"] == "stopped"
    assert d.log() == ""
    assert all({"MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "SYSLOG_FACILITY", "SYSLOG_PID"}
               <= set(r) for r in journal.records)
    assert not any(k.startswith("CODE_") for r in journal.records for k in r)


@needs_namespace
def test_events_have_fields(journal, echod, tmp_path):
    """Workers that die, counters, reloads good and bad: what happened is in fields."""
    d = start(echod, journal, TCP4.service(tmp_path, **SERVICE))
    worker = d.workers()[0]
    os.kill(worker, signal.SIGKILL)
    died = journal.wait(ECHOD_PID=str(worker), ECHOD_SIGNAL="9")
    assert died["ECHOD_WORKER"] in "12" and died["PRIORITY"] == "4"
    assert died["MESSAGE"].endswith(f"(pid {worker}) died: signal 9 (Killed)")
    d.signal(signal.SIGUSR1)
    counters = journal.wait(ECHOD_CONNECTIONS_ACCEPTED=None)
    assert counters["ECHOD_WORKERS_DIED"] == "1"
    d.signal(signal.SIGHUP)
    assert journal.wait(MESSAGE=f"reloaded: {d.conf_file}")["ECHOD_FILE"] == str(d.conf_file)
    d.conf_file.write_text("\nservices = 5;\n")
    d.signal(signal.SIGHUP)
    problem = journal.wait(ECHOD_LINE="2", ECHOD_FILE=str(d.conf_file), PRIORITY="3")
    assert problem["MESSAGE"].startswith(f"{d.conf_file}:2: services: ")
    failed = journal.wait(MESSAGE="reload failed: the old configuration stays", PRIORITY="3")
    assert failed["MESSAGE_ID"] != problem["MESSAGE_ID"]


@needs_namespace
def test_reload_changes_target_and_level(journal, echod, tmp_path):
    d = start(echod, journal, TCP4.service(tmp_path, **SERVICE))
    d.write_conf(top={"log": {"target": "stderr", "level": "notice"}})
    d.signal(signal.SIGHUP)
    wait_for("lines", lambda: d.lines("<5>ready: "))
    n = len(journal.records)
    d.signal(signal.SIGUSR1)
    wait_for("counters", lambda: d.lines("<5>counters service=echo-tcp "))
    d.write_conf(top={"log": {"target": "journal", "level": "notice"}})
    d.signal(signal.SIGHUP)
    journal.wait(start=n, **READY)
    d.signal(signal.SIGUSR1)
    journal.wait(start=n, ECHOD_CONNECTIONS_ACCEPTED=None)
    assert {r["PRIORITY"] for r in journal.records[n:]} <= {"3", "4", "5"}
    stop(d, journal)
    d.log_file.write_text("")  # lines of another form


@needs_namespace
def test_bad_configuration_at_start(journal, echod, tmp_path):
    """What goes wrong before there is a logger comes to the journal as an error."""
    d = make(echod, journal, TCP4.service(tmp_path, **SERVICE))
    d.expected_exit = 78
    d.write_conf(top={"log": {"level": "loud"}})
    d.spawn()
    assert d.wait_exit() == 78
    assert re.fullmatch(rf"<3>{d.conf_file}:1: log.level: .*\n", d.log())


@needs_namespace
def test_port_in_use_at_start(journal, echod, tmp_path):
    service = TCP4.service(tmp_path, **SERVICE)
    echod(service)
    d = make(echod, journal, service)
    d.expected_exit = 71
    d.spawn()
    assert d.wait_exit() == 71
    r = journal.wait(PRIORITY="3", ECHOD_SERVICE="echo-tcp")
    assert "cannot listen on" in r["MESSAGE"] and "in use" in r["MESSAGE"]
    assert journal.wait(MESSAGE="cannot start: Address already in use")["ERRNO"] == "98"


@needs_namespace
def test_last_words_have_a_sender(journal, echod, tmp_path):
    """journald finds the unit of a record by its sender's process: that is there until it has
    dealt with the last one, also if the daemon cannot start and journald is slow."""
    journal.pause = 0.03
    service = TCP4.service(tmp_path, **SERVICE)
    d = start(echod, journal, service)
    other = make(echod, journal, service)
    other.expected_exit = 71
    other.spawn()
    assert other.wait_exit() == 71
    journal.wait(MESSAGE="cannot start: Address already in use")
    stop(d, journal)
    assert journal.orphans == 0


def levels(d):
    """Lines as the journal's stream reads them: all have a level."""
    found = re.findall(r"^(?:<(\d)>)?(.*)$", d.log().rstrip("\n"), re.M)
    assert all(n for n, _ in found), d.log()
    return [(int(n), text) for n, text in found]


@needs_namespace
@pytest.mark.parametrize("target", ["auto", "journal"])
def test_without_native_socket(journal, echod, tmp_path, target):
    """No journal where it should be: standard error, with levels if the stream is the journal's;
    this is said once.  When it is there again the records go there."""
    journal.vanish()
    d = make(echod, journal, TCP4.service(tmp_path, **SERVICE), log={"target": target},
             stream=target == "auto")
    d.expected_exit = -signal.SIGKILL  # lines have another form
    d.spawn()
    wait_for("ready", lambda: d.lines("ready: "))
    said = d.lines("takes nothing (No such file or directory): standard error instead")
    assert len(said) == 1 and 'log.target "journal"' in said[0]
    if target == "auto":
        assert (5, READY["MESSAGE"]) in levels(d)
    else:
        assert all(LINE.match(x) for x in d.log().splitlines())
    journal.start()
    d.signal(signal.SIGUSR1)
    journal.wait(ECHOD_CONNECTIONS_ACCEPTED=None)
    journal.vanish()
    d.signal(signal.SIGUSR1)
    wait_for("counters", lambda: d.lines("counters service=echo-tcp"))
    assert len(d.lines("standard error instead")) == 2
    d.signal(signal.SIGKILL)
    d.wait_exit()
    d.log_file.write_text("")
    journal.start()


@needs_namespace
@pytest.mark.parametrize("stream", [None, "", "0:0", "nonsense", "1:2:3"])
def test_auto_is_standard_error_elsewhere(journal, echod, tmp_path, stream):
    """JOURNAL_STREAM that is not ours, or none: plain lines, and nothing in the journal."""
    env = {} if stream is None else {"JOURNAL_STREAM": stream}
    d = echod(TCP4.service(tmp_path, **SERVICE), prefix=journal.prefix(), env=env)
    assert d.lines("ready: ")
    d.stop()
    assert d.lines("stopped") and not journal.records


@needs_namespace
def test_records_in_memory(journal, echod, tmp_path):
    """A record for which the socket has no room is written to memory, whose descriptor is sent."""
    library = shim.build(tmp_path, ["no_room.c"])
    d = start(echod, journal, TCP4.service(tmp_path, **SERVICE), env=shim.preload(library))
    logger = logger_of(d)
    ping(d.connect(), b"x")
    stop(d, journal)
    assert journal.passed == len(journal.records) > 3
    assert {r["SYSLOG_PID"] for r in journal.records} >= {str(d.pid)}
    assert not journal.find(ECHOD_PID=str(logger)) and not d.lines("died")


@needs_namespace
@pytest.mark.parametrize("how", ["hang", "stopped logger", "dead logger"])
def test_hung_journal_stops_nobody(journal, echod, tmp_path, how):
    """While the journal takes nothing everybody is served, workers are replaced, reloads happen;
    later it is told how many messages are missing, and no other is."""
    d = start(echod, journal, TCP4.service(tmp_path, **SERVICE), log=CONNECTIONS)
    logger = logger_of(d)
    journal.hang()
    if how == "stopped logger":
        os.kill(logger, signal.SIGSTOP)
    elif how == "dead logger":
        os.kill(logger, signal.SIGKILL)
    connections(d, 2000)
    exchange(d.connect(), payload(100000))
    victim = d.workers()[0]
    os.kill(victim, signal.SIGKILL)
    wait_for("another worker", lambda: victim not in d.workers() and len(d.workers()) == 2)
    before = set(d.workers())
    d.write_conf(top={"log": {"level": "debug"}})
    d.signal(signal.SIGHUP)
    wait_for("new workers", lambda: len(d.workers()) == 2 and not before & set(d.workers()))
    if how == "stopped logger":
        os.kill(logger, signal.SIGCONT)
    journal.resume()
    dropped = journal.wait(ECHOD_DROPPED=None, promise=5.0)
    assert dropped["MESSAGE"] == f"{dropped['ECHOD_DROPPED']} log messages were dropped"
    assert dropped["PRIORITY"] == "4" and "MESSAGE_ID" in dropped
    if how == "dead logger":
        assert journal.wait(ECHOD_PID=str(logger))["ECHOD_SIGNAL"] == "9"
    d.signal(signal.SIGUSR1)
    journal.wait(ECHOD_CONNECTIONS_ACCEPTED=None)
    stop(d, journal)
    records = len(journal.find(ECHOD_REASON=None))
    total = records + sum(int(r["ECHOD_DROPPED"]) for r in journal.find(ECHOD_DROPPED=None))
    assert records < 2000 <= total <= 2000 + 60


@needs_namespace
def test_stop_with_hung_journal(journal, echod, tmp_path):
    """The end does not wait for a journal that takes nothing, not for long."""
    d = start(echod, journal, TCP4.service(tmp_path, **SERVICE), log=CONNECTIONS)
    journal.hang()
    connections(d, 1000)
    assert d.stop(promise=3.0) == 0


@needs_namespace
def test_repeated_complaint(journal, echod, tmp_path):
    """What is said once and then counted has the count in a field."""
    d = make(echod, journal, TCP4.service(tmp_path, model="iterative", engine="epoll",
                                          max_clients=1, when_full="close"))
    d.spawn()
    journal.wait(ECHOD_SERVICES="1")
    s = d.connect()
    ping(s)
    for _ in range(5):
        assert d.connect().recv(1) == b""
    stop(d, journal)
    full = journal.find(ECHOD_MAX_CLIENTS="1", ECHOD_STATE="are turned away")
    assert [r.get("ECHOD_REPEATED") for r in full] == [None, "4"]
    assert full[1]["MESSAGE"].endswith("more are turned away (and 4 more like it in 10 s)")


@needs_namespace
@pytest.mark.parametrize("how,v4,v6,unix", [
    ("full", r"127\.0\.0\.1:\d+", r"\[::1\]:\d+", "unnamed"),
    ("prefix", r"127\.0\.0\.0/24", r"::/48", "unix"),
    ("none", None, None, None)])
def test_client(journal, echod, tmp_path, how, v4, v6, unix):
    """log.client: the address, its network, or nothing of it."""
    names = {"tcp4": v4, "tcp6": v6, "unix": unix}
    services = [TRANSPORTS[n].service(tmp_path, "iterative", "epoll", name=n) for n in names]
    d = make(echod, journal, *services, log={"client": how, **CONNECTIONS})
    d.spawn()
    journal.wait(ECHOD_SERVICES="3", ECHOD_LISTENERS="3")
    for service, pattern in zip(services, names.values()):
        s = service.transport.socket()
        if service.name == "unix":  # a name that would be fields of its own
            s.bind(f"\0{os.getpid()} reason=forged ECHOD_REASON=forged\nECHOD_REASON=forged")
        s.connect(service.address)
        ping(s)
        s.close()
        r = journal.wait(ECHOD_SERVICE=service.name, ECHOD_REASON=None)
        assert r["ECHOD_REASON"] == "eof" and "forged" not in str(r)
        assert re.search(rf" peer={pattern or '-'} reason=eof ", r["MESSAGE"])
        assert r.get("ECHOD_PEER") is None if pattern is None else re.fullmatch(
            pattern, r["ECHOD_PEER"])


@needs_namespace
def test_no_field_of_another(journal, echod, tmp_path):
    """A value with spaces and line ends in it, from the configuration's path even, stays one
    word of the message and one field."""
    directory = tmp_path / "x reason=forged\\ y"
    directory.mkdir()
    service = TRANSPORTS["unix"].service(directory, "iterative", "epoll")
    d = make(echod, journal, service)
    d.spawn()
    r = journal.wait(ECHOD_ADDRESS=None)
    assert "/x\\x20reason=forged\\x5c\\x20y/" in r["ECHOD_ADDRESS"]
    assert r["MESSAGE"] == f"service=echo-unix listening on {r['ECHOD_ADDRESS']}"
    journal.wait(ECHOD_SERVICES="1")


@needs_namespace
def test_syslog(journal, echod, tmp_path):
    """log.target = "syslog": datagrams to /dev/log with facility daemon, the level, the name and
    the process that speaks; without a syslogd, standard error."""
    dev = tempfile.mkdtemp(prefix="ed-")
    messages = []
    server = journald.Datagrams(f"{dev}/log", messages.append).start()
    try:
        d = make(echod, journal, TCP4.service(tmp_path, **SERVICE), dev=dev, stream=False,
                 log={"target": "syslog", **CONNECTIONS})
        d.spawn()
        text = rb"<29>\w{3} [ \d]\d [\d:]{8} echod\[%d\]: ready: 1 services" % d.pid
        wait_for("ready", lambda: [m for m in messages if re.match(text, m)])
        connections(d, 1)
        wait_for("the record", lambda: [m for m in messages if b" reason=eof " in m])
        record = [m for m in messages if b" reason=eof " in m][0]
        assert record.startswith(b"<30>")
        assert int(re.search(rb"echod\[(\d+)\]: ", record)[1]) in d.workers()
        assert not journal.records and d.log() == ""
        server.hang()
        connections(d, 2000)
        server.resume()
        wait_for("drops", lambda: [m for m in messages if b" log messages were dropped" in m], 5.0)
        server.vanish()
        d.signal(signal.SIGUSR1)
        d.wait_line('log.target "syslog" takes nothing (')
        d.wait_line("counters service=echo-tcp")
        d.stop()
    finally:
        server.stop()
        shutil.rmtree(dev)


@needs_namespace
def test_datagram_service(journal, echod, tmp_path):
    """A service without connections has no figures of them."""
    d = make(echod, journal, UDP4.service(tmp_path, "iterative", "epoll"))
    d.spawn()
    r = journal.wait(ECHOD_MODEL="iterative")
    assert "ECHOD_MAX_CLIENTS" not in r
    journal.wait(ECHOD_SERVICES="1")


@pytest.mark.skipif(not shutil.which("journalctl"), reason="journalctl is not installed")
def test_catalogue_is_read(tmp_path):
    """journalctl takes the catalogue without a complaint, every entry of it."""
    root = tmp_path / "root"
    (root / "usr/lib/systemd/catalog").mkdir(parents=True)
    shutil.copy(CATALOGUE, root / "usr/lib/systemd/catalog")

    def journalctl(*arguments):
        done = subprocess.run(["journalctl", f"--root={root}", *arguments], text=True,
                              capture_output=True, timeout=60, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    journalctl("--update-catalog")
    ids = re.findall(r"^-- (\w+)$", CATALOGUE.read_text(), re.M)
    listed = dict(x.split(" ", 1) for x in journalctl("--list-catalog").splitlines())
    assert set(listed) == set(ids) and len(ids) == len(set(ids)) > 20
    assert all(x.startswith("echod: ") for x in listed.values())
    dumped = journalctl("--dump-catalog")
    for entry in CATALOGUE.read_text().split("\n-- ")[1:]:
        assert entry.rstrip("\n") in dumped


@needs_namespace
def test_message_ids(journal, echod, tmp_path):
    """What a daemon's life has in it has entries in the catalogue, whose fields the records
    have."""
    d = start(echod, journal, TCP4.service(tmp_path, **SERVICE), log=CONNECTIONS)
    connections(d, 1)
    journal.wait(ECHOD_REASON="eof")
    stop(d, journal)
    entries = dict(x.split("\n", 1) for x in CATALOGUE.read_text().split("\n-- ")[1:])
    explained = [(r, entries[r["MESSAGE_ID"]]) for r in journal.records if "MESSAGE_ID" in r]
    assert len(explained) > 6
    for record, entry in explained:
        assert set(re.findall(r"@(\w+)@", entry)) <= set(record), record
