# SPDX-License-Identifier: ISC
"""The configuration, from outside: bad ones are refused with their exact complaints, hostile
files neither hang nor kill, good ones come back from --dump-config as they are in force."""

import os
import re
import resource
import signal
import subprocess

import harness
import pytest
from bad_configs import BAD, service

GOOD = service("")
QUICK = 1.0  # seconds of CPU that any of it may take


def run(*arguments, cwd=None, code=0):
    """Run echod with ARGUMENTS to its end.  Returns the lines of its two outputs."""
    begin = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([harness.ECHOD, *arguments], cwd=cwd, text=True, timeout=20 * harness.SLOW,
                          stdin=subprocess.DEVNULL, capture_output=True, errors="replace")
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = end.ru_utime + end.ru_stime - begin.ru_utime - begin.ru_stime
    assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    assert seconds < QUICK * harness.SLOW
    return done.stdout.splitlines(), done.stderr.splitlines()


def write(path, data):
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    path.chmod(0o644)
    return path


@pytest.fixture
def directory(tmp_path):
    """The current directory of echod: file names in complaints are then short."""
    write(tmp_path / "good", GOOD)
    return tmp_path


def refused(directory, text, *arguments):
    """What is said about a file F of TEXT."""
    write(directory / "F", text)
    return run("--check", "-c", "F", *arguments, cwd=directory, code=78)[1]


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


# --- hostile files

def test_missing(directory):
    assert run("-t", "-c", "none", cwd=directory, code=78)[1] == [
        "none: No such file or directory"]


def test_directory(directory):
    assert run("-t", "-c", ".", cwd=directory, code=78)[1] == [".: is a directory"]


def test_fifo(directory):
    os.mkfifo(directory / "fifo")
    assert run("-t", "-c", "fifo", cwd=directory, code=78)[1] == [
        "fifo: is not a regular file"]


@pytest.mark.parametrize("device", ["/dev/null", "/dev/zero", "/dev/tty"])
def test_device(directory, device):
    (line,) = run("-t", "-c", device, cwd=directory, code=78)[1]
    assert line in (f"{device}: is not a regular file", f"{device}: No such device or address")


def test_symbolic_link_loop(directory):
    os.symlink("loop", directory / "loop")
    assert run("-t", "-c", "loop", cwd=directory, code=78)[1] == [
        "loop: Too many levels of symbolic links"]


def test_large(directory):
    assert refused(directory, "#" * (2 << 20)) == ["F: makes the configuration larger than 1 MiB"]
    assert refused(directory, "a = \"" + "x" * (1 << 20)) == [
        "F: makes the configuration larger than 1 MiB"]
    assert refused(directory, "a = \"" + "x" * 1_000_000 + "\";") == [
        "F:1: syntax error: a string is longer than 4096 bytes"]
    write(directory / "good", GOOD + " " * ((1 << 20) - len(GOOD)))
    run("-t", "-c", "good", cwd=directory)


def test_many_settings(directory):
    """What makes libconfig look through a group for each name of it."""
    text = "".join(f"a{i} = 1;\n" for i in range(100_000))
    assert refused(directory, text[:1_000_000]) == [
        "F:257: syntax error: more than 256 settings in one group"]
    group = "".join(f"a{i}=1;" for i in range(250))
    text = "".join(f"g{i} = {{ {group} }};\n" for i in range(250))
    lines = refused(directory, text)
    assert len(lines) == 101 and lines[-1] == "more than 100 mistakes: the rest is not shown"


def test_no_complaint_follows_from_another(directory):
    """What rests on a wrong value is not judged: one mistake, one line."""
    text = """services = (
      "tcp",
      { protocol = "tpc"; listen = "127.0.0.1:7"; socket = { TCP_CORK = true; };
        udp = { groups = [ ]; }; model = "fork"; },
      { listen = [ "127.0.0.1:7" ]; model = "forq"; engine = "epoll"; }
    );"""
    assert refused(directory, text) == [
        "F:2: services[0]: is a string (a group { })",
        'F:3: services[1].protocol: "tpc" is not known (one of "tcp", "udp", "unix", '
        '"unix-dgram", "mptcp")',
        'F:5: services[2].model: "forq" is not known (one of "iterative", "fork", "thread", '
        '"prefork", "prethread")']


def test_many_services(directory):
    listen = ", ".join(f'{{ name = "s{i}"; listen = "127.0.0.1:{i}"; }}' for i in range(1, 258))
    assert refused(directory, f"services = ( {listen} );") == [
        "F:1: services: too many (1 to 256 services are possible)"]


def test_random_bytes(directory):
    for seed in range(20):
        data = bytes((seed * 7919 + i * i * 31 + (i >> 3)) & 0xff for i in range(5000))
        (line,) = refused(directory, data)
        assert re.match(r"F:\d+: syntax error: ", line)
        assert line.isprintable()


def test_every_prefix(directory):
    """A file that was cut off anywhere is refused or right, and never more than that."""
    text = (service('protocol = "udp"; udp = { groups = [ "239.1.2.3" ]; }; /* c */')
            + "log = { connections = true; };")
    for n in range(0, len(text), 3):
        write(directory / "F", text[:n])
        done = subprocess.run([harness.ECHOD, "-t", "-c", "F"], cwd=directory,
                              capture_output=True, text=True, timeout=60)
        assert done.returncode in (0, 78)
        assert (done.returncode == 0) == (done.stderr == "")


@pytest.mark.parametrize("mode", [0o666, 0o664, 0o646])
def test_writable_by_others(directory, mode):
    (directory / "good").chmod(mode)
    assert run("-t", "-c", "good", cwd=directory, code=78)[1] == [
        "good: may be written by group or others (chmod go-w)"]


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_owner(directory):
    os.chown(directory / "good", 65534, 65534)
    assert run("-t", "-c", "good", cwd=directory, code=78)[1] == [
        "good: belongs neither to root nor to the user who runs echod"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable(directory):
    (directory / "good").chmod(0)
    assert run("-t", "-c", "good", cwd=directory, code=78)[1] == ["good: Permission denied"]


# --- includes

def test_include(directory):
    """Included from the directory of the main file, with lines of its own."""
    (directory / "sub").mkdir()
    write(directory / "sub" / "F", '# main\n@include "part"\nshutdown_timeout = -1;\n')
    write(directory / "sub" / "part", "\n\n" + service("backlog = 0;"))
    assert run("-t", "-c", "sub/F", cwd=directory, code=78)[1] == [
        "sub/part:5: services[0].backlog: 0 is out of range (an integer, 1 to 65535)",
        "sub/F:3: shutdown_timeout: -1 is out of range (seconds, 0.0 to 86400.0)"]
    write(directory / "sub" / "part", "\n\n" + GOOD)
    write(directory / "sub" / "F", f'@include "{directory}/sub/part"\n')
    run("-t", "-c", "sub/F", cwd=directory)


@pytest.mark.parametrize("target, why", [
    (".", "is a directory"),
    ("/", "is a directory"),
    ("none", "No such file or directory"),
    ("F", "includes itself"),
    ("fifo", "is not a regular file"),
    ("/dev/zero", "is not a regular file"),
    ("large", "makes the configuration larger than 1 MiB"),
    ("open", "may be written by group or others (chmod go-w)"),
])
def test_include_refused(directory, target, why):
    os.mkfifo(directory / "fifo")
    write(directory / "large", " " * (1 << 20))
    write(directory / "open", "").chmod(0o666)
    assert refused(directory, f'\n@include "{target}"\n{GOOD}') == [
        f'F:2: @include "{target}": {why}']


def test_include_loop(directory):
    write(directory / "a", '@include "b"\n')
    write(directory / "b", '\n@include "a"\n')
    assert refused(directory, '@include "a"\n') == ['b:2: @include "a": includes itself']


def test_include_sets_twice(directory):
    write(directory / "sub", "log = { };\nshutdown_timeout = 1;\n")
    assert refused(directory, 'shutdown_timeout = 1;\n@include "sub"\n') == [
        "sub:2: syntax error: shutdown_timeout is set twice in one group (first in F:1)"]


def test_include_depth(directory):
    for i in range(12):
        write(directory / f"i{i}", f'@include "i{i + 1}"\n')
    assert refused(directory, '@include "i0"\n') == [
        'i9:1: @include "i10": is nested more than 10 deep']


def test_include_bomb(directory):
    """Ten files, each including the next ten times."""
    for i in range(8):
        write(directory / f"i{i}", f'@include "i{i + 1}"\n' * 10)
    write(directory / "i8", "")
    (line,) = refused(directory, '@include "i0"\n')
    assert line.endswith("is one include too many (100)")


# --- what is in force

EVERYTHING = """
log = { level = "debug"; connections = true; };
process = { memory = "3G"; open_files = 4096; nice = 5; };
shutdown_timeout = 1.5;
services = (
  { name = "a"; listen = [ "127.0.0.1:7007" ]; model = "fork"; max_clients = 9;
    when_full = "close"; backlog = 1; idle_timeout = 0.25; buffer = 5000;
    socket = { SO_RCVBUF = "64K"; SO_LINGER = 3; TCP_NODELAY = false; SO_SNDTIMEO = 0.1; }; },
  { protocol = "unix"; listen = "/tmp/a \\"b\\\\c"; mode = "0600"; workers = 3; },
  { protocol = "udp"; listen = ( "[::1]:9", "127.0.0.1:9" ); model = "iterative";
    engine = "blocking"; socket = { IPV6_MTU_DISCOVER = "do"; };
    udp = { refuse_source_ports = [ 1, 65535 ]; groups = [ "ff02::9" ]; }; }
);
"""


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
    assert len(out) == 4


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
        "  echo-tcp: tcp 127.0.0.1:7, [::1]:7; model prethread, engine epoll, workers 3, "
        "max_clients 1024",
        "  echo-udp: udp *:7; model prethread, engine epoll, workers 3",
        "  echo-unix-dgram: unix-dgram @x; model prethread, engine epoll, workers 3"]


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
    daemon.process.send_signal(signal.SIGHUP)
    daemon.wait_line("reload failed: the old configuration stays")
    assert daemon.lines(f"{daemon.conf_file}:2: services[0].backlog: 0 is out of range "
                        "(an integer, 1 to 65535)")
    daemon.write_conf()
