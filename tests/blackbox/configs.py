# SPDX-License-Identifier: ISC
"""What the tests of the configuration share: files, and echod run on them to its end."""

import resource
import subprocess

import harness
from bad_configs import service

GOOD = service("")
QUICK = 1.0  # seconds of CPU that any of it may take


def run(*arguments, cwd=None, code=0):
    """Run echod with ARGUMENTS to its end.  Returns the lines of its two outputs."""
    begin = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([harness.ECHOD, *arguments], cwd=cwd, text=True,
                          stdin=subprocess.DEVNULL, capture_output=True, errors="replace",
                          timeout=20 * harness.SLOW)
    end = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = end.ru_utime + end.ru_stime - begin.ru_utime - begin.ru_stime
    assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    assert seconds < QUICK * harness.SLOW
    return done.stdout.splitlines(), done.stderr.splitlines()


def write(path, data):
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    path.chmod(0o644)
    return path


def refused(directory, text, *arguments):
    """What is said about a file F of TEXT."""
    write(directory / "F", text)
    return run("--check", "-c", "F", *arguments, cwd=directory, code=78)[1]


EVERYTHING = """
log = { level = "debug"; connections = true; };
process = { memory = "3G"; open_files = 4096; nice = 5; };
shutdown_timeout = 1.5;
control = "/tmp/control \\"x";
services = (
  { name = "a"; listen = [ "127.0.0.1:7007" ]; model = "fork"; max_clients = 9;
    when_full = "close"; backlog = 1; idle_timeout = 0.25; buffer = 5000;
    socket = { SO_RCVBUF = "64K"; SO_LINGER = 3; TCP_NODELAY = false; SO_SNDTIMEO = 0.1; }; },
  { protocol = "unix"; listen = "/tmp/a \\"b\\\\c"; mode = "0600"; workers = 3; },
  { name = "b"; listen = [ "127.0.0.1:7008" ]; engine = "epoll"; workers = 2; cpus = [ 1, 0 ];
    steering = "cpu"; },
  { protocol = "udp"; listen = ( "[::1]:9", "127.0.0.1:9" ); model = "iterative";
    engine = "blocking"; socket = { IPV6_MTU_DISCOVER = "do"; };
    cpus = [ 0, 1 ]; busy_poll = 50; allow = [ "192.0.2.0/24", "2001:db8::/32" ];
    source_prefix = { ipv4 = 24; };
    udp = { refuse_source_ports = [ 1, 65535 ]; groups = [ "ff02::9" ]; rate = 0.125; }; }
);
"""
