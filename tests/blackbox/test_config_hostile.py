# SPDX-License-Identifier: ISC
"""Hostile configuration files: none may hang or kill echod, nor take more than a second."""

import os
import random
import re
import resource
import subprocess

import harness
import pytest
from bad_configs import service
from configs import EVERYTHING, GOOD, refused, run, write


@pytest.fixture
def directory(tmp_path):
    """The current directory of echod: file names in complaints are then short."""
    write(tmp_path / "good", GOOD)
    return tmp_path


# --- files

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


def test_many_addresses(directory):
    """Each is compared with all before it."""
    services = ", ".join(
        f'{{ name = "s{i}"; listen = [ '
        + ", ".join(f'"*:{i * 64 + j + 1}"' for j in range(64)) + " ]; }" for i in range(256))
    write(directory / "good", f"services = ( {services} );")
    out, _ = run("--check", "-c", "good", cwd=directory)
    assert len(out) == 257


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


PIECES = ["{", "}", "[", "]", "(", ")", ",", ";", "=", '"', "\\", "/*", "*/", "#", "010", "-1",
          "4294967303", "99999999999999999999", "true", "1e999", "\0", "0x", "\n", "5L",
          'protocol = "udp";', "socket = { SO_RCVBUF = 64; };", '@include "F"\n', "\xff"]


def mutated(text, chance):
    """TEXT with some bytes changed, cut out, doubled or put in."""
    for _ in range(chance.randint(1, 5)):
        at = chance.randint(0, len(text))
        end = at + chance.randint(0, 30)
        change = chance.randrange(4)
        if change == 0:
            text = text[:at] + chance.choice(PIECES) + text[at:]
        elif change == 1:
            text = text[:at] + text[end:]
        elif change == 2:
            text = text[:end] + text[at:]
        else:
            text = text[:at] + chr(chance.randrange(256)) + text[at + 1:]
    return text


def test_mutations(directory):
    """Whatever a hand or a disk does to a file: it is refused with complaints of the one form,
    or it is right and comes back as itself."""
    chance = random.Random(862)
    for _ in range(150):
        data = mutated(chance.choice([GOOD, EVERYTHING]), chance).encode("latin-1")
        write(directory / "F", data)
        done = subprocess.run([harness.ECHOD, "--dump-config", "-c", "F"], cwd=directory,
                              capture_output=True, text=True, timeout=20 * harness.SLOW)
        assert done.returncode in (0, 78), data
        if done.returncode == 78:
            for line in done.stderr.splitlines():
                assert re.match(r"F(:\d+)?: .*\S", line) and line.isprintable(), (line, data)
        else:
            write(directory / "F", done.stdout)
            assert "\n".join(run("--dump-config", "-c", "F", cwd=directory)[0]) + "\n" == \
                done.stdout


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


# --- memory

@pytest.mark.skipif(bool(harness.SANITIZE), reason="a sanitizer needs more")
def test_too_little_memory(directory):
    """libconfig dies of it, or ends the process: it is not asked then."""
    many = ", ".join(f'{{ protocol = "tcp"; listen = [ "127.0.0.1:{i}" ]; }}'
                     for i in range(1, 2000))
    write(directory / "big", f"services = ( {many} );")
    for limit in range(1, 9):
        size = limit << 20
        r = subprocess.run(
            [harness.ECHOD, "-t", "-c", "big"], cwd=directory, capture_output=True, text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (size, size)),
            check=False)
        code = 71 if "memory" in r.stderr else 78  # it may be right, only not read
        assert r.returncode == code and r.stderr, f"{limit} MiB: {r.returncode} {r.stderr}"


@pytest.mark.skipif(bool(harness.SANITIZE), reason="a sanitizer needs more")
def test_shortage_is_not_the_files_fault(directory):
    """What the system lacked when the file was to be read it may have the next time: systemd is to
    try again, which it does not after 78."""
    r = subprocess.run([harness.ECHOD, "-t", "-c", "good"], cwd=directory, capture_output=True,
                       text=True, check=False,
                       preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_DATA, (10**6, 10**6)))
    assert (r.returncode, r.stderr) == (71, "good: Cannot allocate memory\n")
