# SPDX-License-Identifier: ISC
"""The configuration, from outside: bad ones are refused with their exact complaints, good ones
come back from --dump-config as they are in force."""

import re
import signal
import subprocess

import harness
import pytest
from bad_configs import BAD, service
from configs import EVERYTHING, GOOD, refused, run, write
from grid import auto_engine


@pytest.fixture
def directory(tmp_path):
    """The current directory of echod: file names in complaints are then short."""
    write(tmp_path / "good", GOOD)
    return tmp_path


# --- bad configurations

def test_there_are_enough():
    assert len({name for name, _, _ in BAD}) == len(BAD) >= 60


@pytest.mark.parametrize("text, lines", [pytest.param(t, x, id=i) for i, t, x in BAD])
def test_bad(directory, text, lines):
    assert refused(directory, text) == lines


def test_bad_at_start(directory):
    """Without --check it is the same: the complaints, and no daemon."""
    write(directory / "F", service("backlog = 0;"))
    out, err = run("-c", "F", cwd=directory, code=78)
    assert out == []
    assert "F:3: services[0].backlog: 0 is out of range (an integer, 1 to 65535)" in err


# --- what is in force

@pytest.mark.parametrize("text", [GOOD, EVERYTHING], ids=["defaults", "everything"])
def test_dump_round_trip(directory, text):
    write(directory / "F", text)
    first, _ = run("--dump-config", "-c", "F", cwd=directory)
    write(directory / "G", "\n".join(first) + "\n")
    second, _ = run("--dump-config", "-c", "G", cwd=directory)
    assert first == second
    assert "shutdown_timeout = " in "\n".join(first)


def test_dump_says_what_is_in_force(directory):
    write(directory / "F", EVERYTHING)
    text = "\n".join(run("--dump-config", "-c", "F", cwd=directory)[0])
    for part in ('memory = "3G";', "idle_timeout = 0.25;", 'engine = "blocking";', "workers = 1;",
                 "SO_REUSEADDR = true;", "TCP_NODELAY = false;", 'SO_RCVBUF = "64K";',
                 'listen = [ "/tmp/a \\"b\\\\c" ];', 'mode = "0600";', "workers = 3;",
                 "refuse_source_ports = [ 1, 65535 ];"):
        assert part in text, part
    udp = text[text.index('name = "echo-udp"'):]
    assert "SO_REUSEADDR" not in udp and "backlog" not in udp


def test_check_says_what_is_served(directory):
    write(directory / "F", EVERYTHING)
    out, err = run("--check", "-c", "F", cwd=directory)
    assert out[0] == "F: ok" and err == []
    assert out[1] == ("  a: tcp 127.0.0.1:7007; model fork, engine blocking, workers 1, "
                      "max_clients 9")
    assert [x[:2] for x in out[1:5]] == ["  "] * 4
    assert all(x.startswith("F:") for x in out[5:])  # what echod.service does not give


def test_overrides(directory):
    text = "\n".join(run("--dump-config", "-c", "good", "-o", "services[0].backlog=64",
                         "-o", "services[0].listen=[::1]:9", "-o", "shutdown_timeout=2",
                         "-o", "services[0].socket.SO_RCVBUF=64K", "-o", "log.level=debug",
                         "-o", "services[0].backlog=65", cwd=directory)[0])
    for part in ("backlog = 65;", 'listen = [ "[::1]:9" ];', "shutdown_timeout = 2.0;",
                 'SO_RCVBUF = "64K";', 'level = "debug";', "TCP_NODELAY = true;"):
        assert part in text, part


@pytest.mark.parametrize("override, line", [
    ("services[0].backlog=0", "services[0].backlog: 0 is out of range (an integer, 1 to 65535)"),
    ("services[0].backlogs=1", 'services[0].backlogs: unknown key (did you mean "backlog"?)'),
    ("services[0].model=frok", 'services[0].model: "frok" is not known (one of "iterative", '
                               '"fork", "thread", "prefork", "prethread")'),
    ("services[1].backlog=1", "services: has no element 1 (it has 1)"),
    ("services[0]=5", "services[0]: is an integer (a group { })"),
    ("log[0]=5", "log: is not a list"),
    ("services.backlog=5", "services: is not a group"),
    ("a..b=5", '"a..b" is not a path such as services[0].backlog'),
    ("services[x].backlog=5", '"services[x].backlog" is not a path such as '
                              'services[0].backlog'),
    ("shutdown_timeout=", 'shutdown_timeout: "" is a string (seconds, 0.0 to 86400.0)'),
    ("services[0].listen=127.0.0.1", 'services[0].listen[0]: "127.0.0.1": no port: an address '
                                     "is HOST:PORT"),
])
def test_override_refused(directory, override, line):
    assert refused(directory, "log = { };\n" + GOOD, "-o", override) == [f"-o: {line}"]


def test_override_that_repairs(directory):
    write(directory / "F", service("backlog = 0;"))
    run("-t", "-c", "F", "-o", "services[0].backlog=1", cwd=directory)


# --- --listen

def test_listen():
    out, _ = run("--check", "--listen", "tcp:127.0.0.1:7", "--listen", "udp:*:7",
                 "--listen", "tcp:[::1]:7", "--listen", "unix-dgram:@x",
                 "--model", "prethread", "--workers", "3")
    assert out == [
        "--listen: ok",
        f"  echo-tcp: tcp 127.0.0.1:7, [::1]:7; model prethread, engine {auto_engine()}, workers 3, "
        "max_clients 1024",
        f"  echo-udp: udp *:7; model prethread, engine {auto_engine()}, workers 3",
        f"  echo-unix-dgram: unix-dgram @x; model prethread, engine {auto_engine()}, "
        "workers 3"]


@pytest.mark.parametrize("arguments, line", [
    (["tcp"], '"tcp" is not PROTOCOL:ADDRESS (PROTOCOL is one of tcp, udp, unix, unix-dgram, '
              "mptcp)"),
    (["sctp:127.0.0.1:7"], '"sctp:127.0.0.1:7" is not PROTOCOL:ADDRESS (PROTOCOL is one of '
                           "tcp, udp, unix, unix-dgram, mptcp)"),
    (["tcp:7"], 'services[0].listen[0]: "7": no port: an address is HOST:PORT'),
    (["tcp:"], 'services[0].listen[0]: "": no port: an address is HOST:PORT'),
    (["tcp:127.0.0.1:70000"], 'services[0].listen[0]: "127.0.0.1:70000": the port is out of '
                              "range, 0 to 65535"),
    (["udp:127.0.0.1:7", "--model", "fork"],
     'services[0].model: "fork" runs an executor for each connection, and udp has none '
     "(iterative, prefork or prethread)"),
    (["tcp:127.0.0.1:7", "--model", "thread", "--engine", "epoll"],
     'services[0].engine: "epoll" multiplexes many clients, but thread hands each client to an '
     "executor that echoes it alone (auto or blocking)"),
    (["tcp:127.0.0.1:7", "--workers", "many"],
     'services[0].workers: "many" is a string (an integer, 0 to 4096)'),
    (["tcp:127.0.0.1:7", "--workers", "4097"],
     "services[0].workers: 4097 is out of range (an integer, 0 to 4096)"),
])
def test_listen_refused(arguments, line):
    assert run("--check", "--listen", *arguments, code=78)[1] == [f"--listen: {line}"]


@pytest.mark.parametrize("arguments, line", [
    (["--nosuch"], "echod: unknown option --nosuch, or one that takes no argument"),
    (["-c"], "echod: -c needs an argument"),
    (["stray"], 'echod: unexpected argument "stray"'),
    (["-c", "x", "--listen", "tcp:y"], "echod: --config and --listen exclude each other"),
    (["--model", "fork"],
     "echod: --model needs --listen (with a file, use -o 'services[0].model=...')"),
    (["-o", "backlog"], 'echod: -o needs PATH=VALUE, not "backlog"'),
])
def test_usage(arguments, line):
    assert run(*arguments, code=64)[1] == [line, 'Try "echod --help".']


def test_help_and_version():
    out, _ = run("--help")
    assert len(out) <= 40 and max(len(x) for x in out) <= 100
    for word in ("--listen", "prethread", "epoll", "-o,"):
        assert any(word in x for x in out), word
    assert re.fullmatch(r"echod \d+\.\d+\S*", run("--version")[0][0])


def test_full_disk():
    """What was asked for and could not be written is an error."""
    with open("/dev/full", "w") as full:
        done = subprocess.run([harness.ECHOD, "--help"], stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 71 and b"No space left on device" in done.stderr


def test_reload_says_the_same(echod, directory):
    """A bad file at a reload: the same complaints in the log, and the old service stays."""
    port = harness.free_port()
    daemon = echod(harness.Service("tcp", f"127.0.0.1:{port}"))
    daemon.expect_error("services.0..backlog: 0 is out of range")
    daemon.expect_error("the old configuration stays")
    bad = daemon.conf_file.read_text().replace("protocol =", "backlog = 0; protocol =")
    write(daemon.conf_file, bad)
    daemon.signal(signal.SIGHUP)
    daemon.wait_line("reload failed: the old configuration stays")
    assert daemon.lines(f"{daemon.conf_file}:2: services[0].backlog: 0 is out of range "
                        "(an integer, 1 to 65535)")
    daemon.write_conf()
