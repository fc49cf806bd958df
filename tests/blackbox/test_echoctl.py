# SPDX-License-Identifier: ISC
"""echoctl: what it prints, for people and as JSON, and its exit codes."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

import control
import harness
from control import NOBODY
from echoctl import (CONFIG, ECHOCTL, OK, OUTPUT, PERMISSION, PROTOCOL, REFUSED, TIMEOUT,
                     UNAVAILABLE, USAGE, echoctl)
from grid import TCP4, TRANSPORTS, UDP4, datagram_grid, stream_grid
from harness import SLOW, wait_for
from talk import ping

root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")


@pytest.fixture
def path():
    made = control.new_path()
    yield made
    shutil.rmtree(os.path.dirname(made), ignore_errors=True)


@pytest.fixture
def daemon(echod, tmp_path, path):
    """daemon(service, ...) with a control socket at `path`."""
    def make(*services, top=None, **options):
        services = services or (TCP4.service(tmp_path, "prefork", "epoll", workers=2),)
        return echod(*services, top={"control": path, **(top or {})}, **options)
    return make


@pytest.fixture
def ctl(path):
    """ctl(word...) runs echoctl on that daemon."""
    def run(*words, **options):
        return echoctl("--socket", path, *words, **options)
    return run


def said(*words, code=OK, **options):
    """The output of a run that ends with CODE and complains about nothing."""
    done = echoctl(*words, **options)
    assert done.code == code and done.err == "", done
    return done.out


# --- status


@stream_grid("tcp4", "unix", quick=("tcp4",))
def test_status_of_streams(daemon, cell, tmp_path, ctl):
    d = daemon(cell.service(tmp_path, max_clients=50))
    ping(d.connect())
    wait_for("the connection", lambda: "connections    1 of 50" in ctl("status").out)
    text = ctl("status").out
    assert re.match(rf"echod [\d.]+, pid {d.pid}, serving, up for [\d.]+ s since \d{{4}}-", text)
    assert f"  configuration  {d.conf_file}, loaded " in text
    name = d.services[0].name
    assert f"\n{name}: {cell.transport.protocol}, model {cell.model}, engine {cell.engine}\n" in text
    assert f"  listens on     {d.services[0].listen}\n" in text
    assert re.search(r"  rates +[\d.k]+ echoes/s, [\d.k]+ connections/s, .* B/s in, .* B/s out\n",
                     text)
    assert "max_clients=50 " in text
    for i, pid in enumerate(d.workers(), 1):
        assert re.search(rf"  worker {i} +pid +{pid} .* up\n", text)
    assert not re.search(r"[ \t]$", text, re.M)


@datagram_grid("udp4", "unix-dgram", quick=("udp4",))
def test_status_of_datagrams(daemon, cell, tmp_path, ctl):
    d = daemon(cell.service(tmp_path))
    text = ctl("status").out
    assert f"\n{d.services[0].name}: {cell.transport.protocol}, model {cell.model}" in text
    assert "datagrams/s" in text
    assert " of " not in text.split(d.services[0].name)[1]


def test_status_json_is_the_answer(daemon, path, ctl):
    daemon()
    got = ctl("--json", "status").json()
    answer = control.ask(path, "GetStatus")
    assert set(got) == set(answer)
    assert got["services"][0]["settings"] == answer["services"][0]["settings"]


def test_restarted_workers(daemon, ctl):
    d = daemon()
    d.expect_error("worker")
    for _ in range(2):
        os.kill(d.workers()[0], signal.SIGKILL)
        wait_for("a new one", lambda: len(d.workers()) == 2)
    wait_for("restarts", lambda: re.search(r"\d restarts?\n", ctl("status").out))


def test_one_service(daemon, tmp_path, ctl):
    daemon(TCP4.service(tmp_path), UDP4.service(tmp_path, "prefork"))
    for command in ("status", "stats", "options"):
        both, one = ctl(command).out, ctl(command, "echo-udp").out
        assert "echo-tcp" in both and "echo-udp" in both
        assert "echo-tcp" not in one and "echo-udp" in one
        done = ctl(command, "nobody\x1b[31m")
        assert (done.code, done.err) == (REFUSED, "echoctl: no service is called nobody?[31m\n")
        done = ctl(command, "nobody", "--json")
        assert done.code == REFUSED
        assert done.json() == {"error": "org.echod.Control.NoSuchService",
                               "parameters": {"service": "nobody"}}


def test_nothing_that_a_terminal_obeys(echod, tmp_path, path, ctl):
    """The configuration's name may hold anything."""
    service = TCP4.service(tmp_path, "iterative", "epoll")
    d = echod(service, ready=False)
    d.directory = tmp_path / "a\x1b[31m\u009bb\u00fc"
    d.directory.mkdir()
    d.conf_file = d.directory / "echod.conf"
    d.top = {"control": path}
    d.start()
    done = ctl("status")
    assert done.code == OK
    assert "a?[31m?b\u00fc/echod.conf" in done.out
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", done.out)
    assert ctl("status", "--json").json()["config"]["file"] == str(d.conf_file)


def test_file_name_that_is_not_utf8(echod, tmp_path, path, ctl):
    d = echod(TCP4.service(tmp_path, "iterative", "epoll"), ready=False)
    directory = os.fsencode(tmp_path) + b"/a\xff"
    os.mkdir(directory)
    d.top = {"control": path}
    d.write_conf()
    os.rename(d.conf_file, directory + b"/f")
    d.arguments = lambda: ["-c", os.fsdecode(directory + b"/f")]
    d.start()
    assert "/a?/f, loaded" in ctl("status").out


# --- stats


def test_stats(daemon, tmp_path, ctl):
    d = daemon(TCP4.service(tmp_path, "prefork", "epoll"), UDP4.service(tmp_path, "prefork"))
    s = d.connect()
    ping(s, b"12345")
    d.wait_count("echoes", 1, service="echo-tcp")
    lines = ctl("stats").out.splitlines()
    assert lines[0].split() == ["COUNTER", "echo-tcp", "echo-udp"]
    rows = {x.split()[0]: x.split()[1:] for x in lines[1:]}
    counters = d.counters()
    assert rows == {k: [str(counters[n][k]) for n in ("echo-tcp", "echo-udp")]
                    for k in counters["echo-tcp"]}
    assert len({len(x) for x in lines}) == 1  # aligned
    got = ctl("stats", "--json").json()
    assert {x["name"]: x["counters"] for x in got["services"]} == counters


def test_stats_watch(daemon, tmp_path, ctl):
    """What counters grow by in a second, in a pipe one look behind the other."""
    d = daemon()
    s = d.connect()
    stop = threading.Event()

    def talk():
        while not stop.is_set():
            ping(s, b"12345")
    thread = threading.Thread(target=talk)
    thread.start()
    try:
        text = ctl("stats", "--watch", "0.3", "--count", 3).out
        looks = text.split("\n\n")
        assert len(looks) == 3
        for look in looks:
            assert re.match(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d, up for ", look)
        assert re.search(r"^echoes +\d+ +-$", looks[0], re.M)
        assert re.search(r"^echoes +\d+ +[\d.]+k?/s$", looks[2], re.M)
        assert re.search(r"^closed_eof +0$", looks[2], re.M)
        lines = ctl("stats", "--json", "--watch=0.3", "--count=3").out.splitlines()
    finally:
        stop.set()
        thread.join()
    one, two, three = map(json.loads, lines)
    assert one["services"][0]["rates"] == {}
    for a, b in ((one, two), (two, three)):
        seconds = b["uptime"] - a["uptime"]
        assert seconds >= 0.29
        rates = b["services"][0]["rates"]
        for counter in ("echoes", "bytes_in", "closed_eof"):
            grown = (b["services"][0]["counters"][counter]
                     - a["services"][0]["counters"][counter])
            assert rates[counter] == pytest.approx(grown / seconds, rel=1e-3)
        assert rates["bytes_in"] == pytest.approx(rates["echoes"] * 5, rel=0.1)


def test_stats_watch_until_the_daemon_ends(daemon, path):
    d = daemon()
    with subprocess.Popen([*harness.WRAPPER, ECHOCTL, "--socket", path, "stats", "--watch=0.1"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as watch:
        assert watch.stdout.readline().startswith("2")
        d.stop()
        out, err = watch.communicate(timeout=30 * SLOW)
        assert watch.returncode in (UNAVAILABLE, PROTOCOL)
        assert err.startswith(f"echoctl: {path}: ")


# --- options, connections


def test_options(daemon, tmp_path, ctl):
    d = daemon(TCP4.service(tmp_path, "prefork", "epoll",
                            socket={"SO_RCVBUF": "64K", "TCP_QUICKACK": True}))
    text = ctl("options").out
    assert text.startswith(f"echo-tcp: tcp {d.services[0].listen}\n  OPTION ")
    assert re.search(r"^  SO_RCVBUF +65536 +131072 +the kernel doubles what is set: socket\(7\)$",
                     text, re.M)
    assert re.search(r"^  SO_SNDBUF +- +\d+$", text, re.M)
    assert re.search(r"^  TCP_QUICKACK +true +- +set on each connection$", text, re.M)
    assert not re.search(r" $", text, re.M)
    assert ctl("options", "--json").json()["services"][0]["name"] == "echo-tcp"


@stream_grid("tcp4", "unix", quick=("tcp4",))
def test_connections(daemon, cell, tmp_path, ctl):
    d = daemon(cell.service(tmp_path))
    s = d.connect()
    ping(s, b"x" * 1500)
    d.wait_count("bytes_out", 1500)
    text = ctl("connections").out
    head, line = text.splitlines()
    assert head.split() == ["PEER", "CONNECTED", "FOR", "IN", "OUT", "PID", "SERVICE"]
    peer = s.getsockname()
    peer = f"{peer[0]}:{peer[1]}" if cell.transport.family == socket.AF_INET else "unnamed"
    assert re.match(rf"{re.escape(peer)} +[\d.]+ s +1.5 kB +1.5 kB +\d+  {d.services[0].name}$",
                    line)
    got = ctl("connections", "--json").json()
    assert got["connections"][0]["peer"] == peer
    assert ctl("connections", d.services[0].name, "--json").json()["connections"]


def test_no_connections(daemon, ctl):
    daemon()
    assert ctl("connections").out.startswith("PEER ")
    assert ctl("connections", "--json").json() == {"connections": []}


@pytest.mark.slow
def test_very_many_connections(daemon, tmp_path, ctl):
    d = daemon(TRANSPORTS["unix"].service(tmp_path, "prefork", "epoll", max_clients=20000,
                                          backlog=6000), top={"process": {"open_files": 30000}})
    clients = [d.connect() for _ in range(5000)]
    d.wait_count("connections_active", 5000, promise=10.0)
    assert len(ctl("connections").out.splitlines()) == 5001
    assert len(ctl("connections", "--json").json()["connections"]) == 5000
    assert len(clients) == 5000


# --- reload, check


def test_reload(daemon, tmp_path, ctl):
    d = daemon()
    new = TCP4.service(tmp_path, "prefork", "epoll", name="new")
    d.write_conf([d.services[0], new])
    done = ctl("reload")
    assert (done.code, done.out, done.err) == (OK, "", "")
    ping(d.connect(new))
    assert ctl("reload", "--json").json() == {}


def test_reload_that_fails(daemon, ctl):
    d = daemon()
    d.expect_error(".")
    d.conf_file.write_text('services = ( { listen = "127.0.0.1:7";\n  backlog = 0; } );\n'
                           "nonsense = 1;\n")
    lines = [f"{d.conf_file}:2: services[0].backlog: 0 is out of range (an integer, 1 to 65535)",
             f"{d.conf_file}:3: nonsense: unknown key"]
    done = ctl("reload")
    assert (done.code, done.out) == (REFUSED, "")
    assert done.err.splitlines()[-1] == "echoctl: the reload failed"
    assert [x[:len(y)] for x, y in zip(done.err.splitlines(), lines)] == lines
    assert done.err.splitlines()[:-1] == [
        x for x in subprocess.run([*harness.WRAPPER, harness.ECHOD, "--check", "-c", d.conf_file],
                                  capture_output=True, text=True,
                                  check=False).stderr.splitlines()]
    done = ctl("reload", "--json")
    assert done.code == REFUSED
    assert done.json()["error"] == "org.echod.Control.ReloadFailed"
    assert len(done.json()["parameters"]["problems"]) == 2
    ping(d.connect())


@pytest.mark.parametrize("text,code", [
    ('services = ( { listen = "127.0.0.1:7"; } );', OK),
    ('services = ( { listen = "127.0.0.1:7"; backlog = 0; } );', CONFIG),
    ("services = (", CONFIG),
])
def test_check_is_the_daemons(tmp_path, text, code):
    """The same words at the same places, the same exit code."""
    file = tmp_path / "x.conf"
    file.write_text(text)
    file.chmod(0o644)
    done = echoctl("check", file)
    other = subprocess.run([*harness.WRAPPER, harness.ECHOD, "--check", "-c", file],
                           capture_output=True, text=True, check=False)
    assert (done.code, done.out, done.err) == (code, other.stdout, other.stderr)
    assert done.code == other.returncode
    done = echoctl("check", "--json", file)
    assert done.code == code
    got = done.json()
    assert got["ok"] == (code == OK)
    assert got["problems"] == other.stderr.splitlines()
    assert got["file"] == str(file)


def test_check_without_a_file():
    assert "/echod/echod.conf" in (echoctl("check").err + echoctl("check").out)
    done = echoctl("check", "--instance", "nobody")
    assert done.code == CONFIG and "/echod/nobody.conf" in done.err


def test_service_that_is_not_utf8(daemon, ctl):
    """It is no service's name; and not as if none were given."""
    daemon()
    for command in ("status", "stats", "options", "connections"):
        done = ctl(command, os.fsdecode(b"\xff"))
        assert (done.code, done.out) == (REFUSED, "")
        assert "no service is called ?" in done.err


# --- exit codes


@pytest.mark.parametrize("words", [
    [], ["nonsense"], ["status", "a", "b"], ["reload", "x"], ["--nonsense"], ["status", "--count"],
    ["-x", "status"], ["--json=1", "status"], ["status", "--watch"], ["reload", "--count", "1"],
    ["stats", "--count", "0"], ["stats", "--count", "x"], ["stats", "--count", "1e3"],
    ["stats", "--count", "99999999999999999999"], ["stats", "--watch=x"], ["stats", "--watch=0"],
    ["stats", "--watch", "0"], ["stats", "--watch=100000"], ["status", "--timeout", "-1"],
    ["status", "--timeout", "0"], ["status", "--socket", "/a", "--instance", "b"],
    ["status", "--instance", "../x"], ["status", "--instance", ""],
    ["status", "--socket", "/" + "x" * 108], ["status", "--socket"],
], ids=" ".join)
def test_usage(words):
    done = echoctl(*words)
    assert (done.code, done.out) == (USAGE, "")
    assert done.err.startswith("echoctl: ")
    assert len(done.err.splitlines()) <= 2


COMMANDS = ["status", "stats", "options", "connections", "reload"]


@pytest.mark.parametrize("command", COMMANDS)
def test_no_daemon(ctl, path, command):
    """Nothing there; a file of the dead; a directory on the way that is none."""
    done = ctl(command)
    assert done.code == UNAVAILABLE
    assert done.err == f"echoctl: {path}: no echod listens there (No such file or directory)\n"
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(path)
    done = ctl(command)
    assert done.code == UNAVAILABLE
    assert done.err == f"echoctl: {path}: no echod listens there (Connection refused)\n"
    assert echoctl("--socket", path + "/x", command).code == UNAVAILABLE


def test_where_the_socket_is(daemon, path):
    """--socket, --instance, the environment, and the default."""
    daemon()
    directory = os.path.dirname(path)
    assert echoctl("status", env={"RUNTIME_DIRECTORY": directory}).code == OK
    assert echoctl("status", env={"RUNTIME_DIRECTORY": directory + ":/x"}).code == OK
    assert "/run/echod-nobody/control: " in echoctl("status", "--instance", "nobody",
                                                    env={"RUNTIME_DIRECTORY": directory}).err
    if not os.path.exists("/run/echod"):
        assert "/run/echod/control: " in echoctl("status").err


def test_abstract_socket(echod, tmp_path):
    name = f"@echoctl-{os.getpid()}-{tmp_path.name}"
    d = echod(TCP4.service(tmp_path), top={"control": name})
    assert f"control        {name}" in said("--socket", name, "status")
    assert d.alive()


@root
def test_permission(daemon, path):
    daemon()
    other = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
    # The program may lie where only root can go.
    copy = os.path.join(os.path.dirname(path), "echoctl")
    shutil.copy(ECHOCTL, copy)
    os.chmod(copy, 0o755)

    def run(*words):
        done = subprocess.run([*other, *harness.WRAPPER, copy, "--socket", path, *words],
                              capture_output=True, text=True, check=False, cwd="/")
        # What counts lines complains that this user may not write the counts.
        said = [x for x in done.stderr.splitlines(True) if not x.startswith("profiling:")]
        return done.returncode, "".join(said)
    assert run("status") == (OK, "")
    for command in ("reload", "connections"):
        assert run(command) == (PERMISSION, f"echoctl: {command} is for root and for the user of "
                                            "the daemon\n")
    os.chmod(path, 0o600)
    assert run("status") == (PERMISSION, f"echoctl: {path}: Permission denied\n")


def test_stopped_daemon(daemon, ctl):
    """No answer in time is an error of its own."""
    d = daemon()
    d.signal(signal.SIGSTOP)
    try:
        done = ctl("status", "--timeout", "0.3")
        assert done.code == TIMEOUT
        assert "no answer within 0.3 s" in done.err
    finally:
        d.signal(signal.SIGCONT)


def test_full_backlog(path):
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(path)
        s.listen(0)
        with socket.socket(socket.AF_UNIX) as one:
            one.connect(path)
            done = echoctl("--socket", path, "status", "--timeout", "0.3")
            assert done.code == TIMEOUT, done
            assert "takes no connection" in done.err


@pytest.mark.parametrize("answer", [
    b"", b"{", b"hello\0", b"[]\0", b"{\"parameters\":5}\0", b"{\"error\":5}\0", b"\0", b"x" * 100],
    ids=lambda a: a.decode().replace("\0", "0")[:12] or "nothing")
def test_not_echod(path, answer):
    """What answers is not echod: an error, never a crash."""
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(path)
        s.listen(10)
        done = []
        thread = threading.Thread(
            target=lambda: done.append(echoctl("--socket", path, "status")))
        thread.start()
        client, _ = s.accept()
        client.recv(1000)
        client.sendall(answer)
        client.close()
        thread.join()
    assert done[0].code == PROTOCOL, done[0]
    assert done[0].out == ""


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("parameters", [
    "{}", '{"services":5,"connections":7}', '{"services":[5,{}],"connections":[[],3]}',
    '{"services":[{"name":"a","counters":[],"listeners":{"x":1},"workers":[null]}]}',
    '{"services":[{"name":5,"counters":{"a":"b"},"settings":[],"rates":[]}],"uptime":"x"}',
    '{"uptime":1e300,"started":-1e300,"services":[{"name":"\\u0007","settings":{"a":[]}}]}',
], ids=str)
def test_answer_of_another_version(path, command, parameters):
    """Whatever is missing or different, nothing breaks."""
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(path)
        s.listen(10)
        done = []
        thread = threading.Thread(
            target=lambda: done.append(echoctl("--socket", path, command)))
        thread.start()
        client, _ = s.accept()
        client.recv(1000)
        client.sendall(f'{{"parameters":{parameters}}}\0'.encode())
        thread.join()
        client.close()
    assert (done[0].code, done[0].err) == (OK, "")
    assert "\a" not in done[0].out


def test_output_that_cannot_be_written(daemon, ctl):
    daemon()
    with open("/dev/full", "wb") as full:
        for words in (["status"], ["stats", "--json"], ["connections"], ["--help"], ["--version"],
                      ["stats", "--watch=0.1", "--count=2"]):
            done = ctl(*words, stdout=full)
            assert (done.code, done.err) == (OUTPUT, "echoctl: cannot write the output\n"), words


# --- help and the terminal


def test_help_and_version():
    text = said("--help")
    assert text.startswith("Usage: echoctl ")
    for command in [*COMMANDS, "check"]:
        assert re.search(rf"^  {command} ", text, re.M)
    assert said("-h") == text
    assert max(map(len, text.splitlines())) <= 80
    assert re.fullmatch(r"echoctl [\d.]+\n", said("--version"))
    assert said("-V") == said("--version")


def test_watch_on_a_terminal(daemon, path):
    """Each look takes the place of the last."""
    daemon()
    script = shutil.which("script")
    if not script:
        pytest.skip("script(1) is not installed")
    words = [*harness.WRAPPER, ECHOCTL, "--socket", path, "stats", "-w", "0.1", "--count", "2"]
    done = subprocess.run([script, "-qec", " ".join(words), "/dev/null"], capture_output=True,
                          stdin=subprocess.DEVNULL, timeout=60 * SLOW, check=False)
    assert done.returncode == 0
    assert done.stdout.count(b"\x1b[H\x1b[2J") == 2


def test_interval(daemon, ctl):
    daemon()
    begin = time.monotonic()
    assert ctl("stats", "-w", "0.5", "--count", "3").code == OK
    assert 1.0 <= time.monotonic() - begin
