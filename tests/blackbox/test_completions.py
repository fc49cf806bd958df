# SPDX-License-Identifier: ISC
"""Completion for bash: what is offered is what the programs take."""

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

import control
import harness
from echoc import ECHOC
from echoctl import ECHOCTL
from grid import TCP4, UDP4

DIRECTORY = Path(__file__).resolve().parents[2] / "completions"
PROGRAMS = {"echod": harness.ECHOD, "echoc": ECHOC, "echoctl": ECHOCTL}

pytestmark = pytest.mark.skipif(not shutil.which("bash"), reason="bash is not installed")


def split(line):
    """LINE as bash hands it to a completion: "=" and ":" are words of their own."""
    words = []
    for word in line.split(" "):
        words += [w for w in re.split(r"([=:]+)", word) if w] or [""]
    return words


def complete(line, cwd=None):
    """What is offered for the last word of LINE, as a set."""
    program = line.split(" ")[0]
    words = split(line)
    script = (f"source {DIRECTORY / program}.bash; COMP_WORDS=({shlex.join(words)}); "
              f"COMP_CWORD={len(words) - 1}; _{program} {program} "
              f'"${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD - 1]}}"; '
              'printf "%s\\n" "${COMPREPLY[@]}"')
    path = ":".join({str(Path(p).parent) for p in PROGRAMS.values()})
    done = subprocess.run(["bash", "--norc", "-c", script], text=True, capture_output=True, cwd=cwd,
                          env=dict(os.environ, PATH=f"{path}:{os.environ['PATH']}"), check=False,
                          timeout=30 * harness.SLOW)
    assert done.stderr == ""
    return set(done.stdout.split())


def helped(program, *words):
    """The long options that --help lists."""
    text = subprocess.run([*harness.WRAPPER, PROGRAMS[program], *words, "--help"], text=True,
                          capture_output=True, check=True).stdout
    return set(re.findall(r"^ {2}(?:-.,|   ) (--[a-z-]+)", text, re.M)), text


def test_options_of_echod():
    options, _ = helped("echod")
    assert {"--config", "--daemon", "--pid-file"} <= options
    assert complete("echod -") == options
    assert complete("echod ") == options
    assert complete("echod --pi") == {"--pid-file"}
    assert complete("echod --daemon --co") == {"--config"}


@pytest.mark.parametrize("line,wanted", [
    ("echod --model ", "iterative fork thread prefork prethread"),
    ("echod --model=pre", "prefork prethread"),
    ("echod --engine=", "auto blocking epoll io_uring"),
    ("echod --listen ", "tcp: udp: unix: unix-dgram: mptcp:"),
    ("echod --listen un", "unix: unix-dgram:"),
    ("echod --listen tcp:", ""),
    ("echod --listen tcp:127", ""),
    ("echod --workers ", ""),
    ("echod --listen=mp", "mptcp:"),
], ids=str)
def test_words_of_echod(line, wanted):
    assert complete(line) == set(wanted.split())


@pytest.fixture
def conf(tmp_path):
    (tmp_path / "here.conf").write_text(
        'services = ( { listen = "127.0.0.1:7"; },\n'
        '             { protocol = "udp"; listen = "127.0.0.1:7"; socket = { IP_TOS = 8; }; } );\n')
    (tmp_path / "here.conf").chmod(0o644)
    return tmp_path


@pytest.mark.parametrize("line", ["-c he", "--config he", "--config=he", "--pid-file he",
                                  "--listen unix:he", "--listen unix-dgram:he"])
def test_files_of_echod(conf, line):
    assert complete(f"echod {line}", conf) == {"here.conf"}


def test_keys_of_echod(conf):
    """Every key that the configuration has, of each of its services; socket options too."""
    offered = complete("echod -c here.conf -o ", conf)
    dump = subprocess.run([*harness.WRAPPER, harness.ECHOD, "-c", "here.conf", "--dump-config"],
                          text=True, capture_output=True, check=True, cwd=conf).stdout
    keys = {k for k in re.findall(r"^\s*(\w+) = [^({]", dump, re.M)}
    assert {k.split(".")[-1][:-1] for k in offered} >= keys
    for key in ("log.level=", "process.nice=", "shutdown_timeout=", "services[0].backlog=",
                "services[1].udp.groups=", "services[0].socket.SO_RCVBUF="):
        assert key in offered
    assert not any("services[2]" in k or "SO_SNDLOWAT" in k for k in offered)
    # Each is one that can be set.
    for key in sorted(offered):
        done = subprocess.run([*harness.WRAPPER, harness.ECHOD, "-c", "here.conf", "--check",
                               "-o", f"{key}{{}}"], text=True, capture_output=True, check=False,
                              cwd=conf)
        assert "unknown key" not in done.stderr, key
    assert complete("echod -c here.conf -o log.l", conf) == {"log.level="}
    assert complete("echod --config=here.conf --override services[1].udp.grou", conf) == {
        "services[1].udp.groups="}


@pytest.mark.parametrize("line,wanted", [
    ("-o services[0].model=it", "iterative"),
    ("-o services[0].engine=", "auto blocking epoll io_uring"),
    ("-o services[1].protocol=u", "udp unix unix-dgram"),
    ("-o services[0].backlog=", ""),
])
def test_values_of_echod(conf, line, wanted):
    assert complete(f"echod -c here.conf {line}", conf) == set(wanted.split())


def test_commands_of_echoc():
    assert complete("echoc ") == {"send", "ping", "path", "load", "compare", "--help", "--version"}
    assert complete("echoc p") == {"ping", "path"}


@pytest.mark.parametrize("command", ["send", "ping", "path", "load", "compare"])
def test_options_of_echoc(command):
    """Those of the lines of --help that begin with one."""
    _, text = helped("echoc", command)
    lines = re.findall(r"^ (?:-.,|   ) --.*", text, re.M)
    wanted = {w for line in lines for w in re.findall(r"--[a-z][a-z0-9-]*", line)}
    offered = complete(f"echoc {command} --")
    assert len(offered) > 10 and offered == wanted


def test_commands_of_echoctl(conf):
    commands = {"status", "stats", "options", "connections", "reload", "check"}
    assert complete("echoctl ") == commands
    assert complete("echoctl --json s") == {"status", "stats"}
    assert complete("echoctl --timeout 5 --socket=/x rel") == {"reload"}
    assert complete("echoctl check he", conf) == {"here.conf"}
    assert complete("echoctl --socket he", conf) == {"here.conf"}
    assert complete("echoctl --socket=he", conf) == {"here.conf"}
    assert complete("echoctl reload ") == set()


def test_options_of_echoctl():
    options, _ = helped("echoctl")
    assert {"--json", "--socket", "--watch"} <= options
    assert complete("echoctl --") == options
    assert complete("echoctl stats --w") == {"--watch"}


def test_services_of_echoctl(echod, tmp_path):
    """Those of the daemon that the line names; without one, none."""
    path = control.new_path()
    try:
        echod(TCP4.service(tmp_path, name="one"), UDP4.service(tmp_path, "prefork", name="two"),
              top={"control": path})
        assert complete(f"echoctl --socket {path} status ") == {"one", "two"}
        assert complete(f"echoctl --socket={path} stats --watch 2 o") == {"one"}
        assert complete(f"echoctl connections --socket {path} t") == {"two"}
        assert complete(f"echoctl --socket {path}.not options ") == set()
    finally:
        shutil.rmtree(os.path.dirname(path))


@pytest.mark.parametrize("file", sorted(DIRECTORY.glob("*.bash")), ids=lambda p: p.name)
def test_no_shell_mistakes(file):
    """Bash can read it, and shellcheck(1), if it is there, has nothing to say."""
    subprocess.run(["bash", "-n", str(file)], check=True)
    if shutil.which("shellcheck"):
        done = subprocess.run(["shellcheck", "-s", "bash", str(file)], text=True,
                              capture_output=True, check=False)
        assert done.returncode == 0, done.stdout
