# SPDX-License-Identifier: ISC
"""Real input through real tools: the system's own files with socat and nc, and the checks of
monitoring-plugins as Nagios runs them."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from grid import DATAGRAM_PAIRS, STREAM_PAIRS, TRANSPORTS, TCP4, UDP4, Cell
from harness import SLACK, SLOW

PLUGINS = Path("/usr/lib/nagios/plugins")
MIB = 1 << 20


def need(name):
    """The path of a tool, or skip."""
    path = shutil.which(name)
    if not path:
        pytest.skip(f"{name} is not installed")
    return path


@pytest.fixture(scope="module")
def big_file(tmp_path_factory):
    """Programs and libraries of this system in one file of at least 32 MiB."""
    path = tmp_path_factory.mktemp("real") / "input"
    with open(path, "wb") as out:
        for directory in ("/usr/bin", "/usr/lib/x86_64-linux-gnu", "/usr/lib", "/usr/sbin"):
            for source in sorted(Path(directory).glob("*")):
                if out.tell() >= 32 * MIB:
                    break
                if source.is_file() and not source.is_symlink():
                    out.write(source.read_bytes()[:8 * MIB])
    assert path.stat().st_size >= 4 * MIB
    return path


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def through(words, source, target):
    """Run a tool with SOURCE as its input and TARGET as its output."""
    with open(source, "rb") as stdin, open(target, "wb") as stdout:
        subprocess.run(words, stdin=stdin, stdout=stdout, check=True,
                       timeout=20 * SLACK * SLOW)


@pytest.mark.parametrize("name", [
    "tcp4", *[pytest.param(n, marks=pytest.mark.slow) for n in ("tcp6", "unix", "mptcp4")]])
@pytest.mark.parametrize("pair", STREAM_PAIRS, ids="-".join)
def test_socat_file(echod, tmp_path, big_file, pair, name):
    """Tens of MiB with socat: the hash of what returns is that of what was sent."""
    socat = need("socat")
    service = Cell(*pair, TRANSPORTS[name]).service(tmp_path)
    echod(service)
    where = f"UNIX-CONNECT:{service.address}" if name == "unix" else f"TCP:{service.listen}"
    through([socat, "-t60", "-b65536", "-", where], big_file, tmp_path / "output")
    assert digest(tmp_path / "output") == digest(big_file)


@pytest.mark.parametrize("name", [
    "tcp4", *[pytest.param(n, marks=pytest.mark.slow) for n in ("tcp6", "unix")]])
@pytest.mark.parametrize("pair", STREAM_PAIRS, ids="-".join)
def test_nc_file(echod, tmp_path, big_file, pair, name):
    """The same with OpenBSD's nc, which shuts down at the end of its input (-N)."""
    nc = need("nc.openbsd")
    service = Cell(*pair, TRANSPORTS[name]).service(tmp_path)
    echod(service)
    where = (["-U", service.address] if name == "unix"
             else [service.address[0], str(service.address[1])])
    through([nc, "-N", *where], big_file, tmp_path / "output")
    assert digest(tmp_path / "output") == digest(big_file)


@pytest.mark.parametrize("pair", DATAGRAM_PAIRS, ids="-".join)
def test_socat_datagrams(echod, tmp_path, pair):
    """A text as one datagram with socat."""
    socat = need("socat")
    service = Cell(*pair, UDP4).service(tmp_path)
    echod(service)
    (tmp_path / "text").write_bytes(Path("/etc/passwd").read_bytes()[:1400])
    through([socat, "-t1", "-", f"UDP:{service.listen}"], tmp_path / "text", tmp_path / "output")
    assert digest(tmp_path / "output") == digest(tmp_path / "text")


def check(plugin, *words):
    """Run a plugin; returns (exit code, its line)."""
    path = PLUGINS / plugin
    if not path.exists():
        pytest.skip(f"{plugin} of monitoring-plugins is not installed")
    done = subprocess.run([path, *words], capture_output=True, text=True, check=False,
                          timeout=20 * SLACK * SLOW)
    return done.returncode, done.stdout


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("pair", STREAM_PAIRS, ids="-".join)
def test_check_tcp(echod, tmp_path, pair, host):
    """check_tcp sends a word, expects it back, and says OK."""
    name = "tcp6" if ":" in host else "tcp4"
    service = Cell(*pair, TRANSPORTS[name]).service(tmp_path)
    echod(service)
    word = "echod-says-hello"
    code, line = check("check_tcp", "-H", host, "-p", str(service.address[1]), "-s", word,
                       "-e", word, "-w", "5", "-c", "10")
    assert (code, "TCP OK" in line) == (0, True), line


@pytest.mark.parametrize("pair", DATAGRAM_PAIRS, ids="-".join)
def test_check_udp(echod, tmp_path, pair):
    """check_udp likewise."""
    service = Cell(*pair, UDP4).service(tmp_path)
    echod(service)
    code, line = check("check_udp", "-H", "127.0.0.1", "-p", str(service.address[1]), "-s",
                       "hello", "-e", "hello", "-w", "5", "-c", "10")
    assert (code, "UDP OK" in line) == (0, True), line


def test_check_tcp_sees_the_end(echod, tmp_path):
    """And says CRITICAL when echod is not there: the check checks something."""
    service = TCP4.service(tmp_path)
    d = echod(service)
    assert d.stop() == 0
    code, _ = check("check_tcp", "-H", "127.0.0.1", "-p", str(service.address[1]))
    assert code == 2
