# SPDX-License-Identifier: ISC
"""Run the client."""

import json
import os
import subprocess

from harness import ECHOD, SANITIZER, SLOW, WRAPPER

ECHOC = os.path.abspath(os.environ.get("ECHOC", os.path.join(os.path.dirname(ECHOD), "echoc")))
OK, MISSED, USAGE, REFUSED, TIMEOUT, UNREACHABLE, NAME, DAMAGED = range(8)


class Result:
    """What one run gave: .code, .out and .err as text, .bytes as standard output was."""

    def __init__(self, done):
        self.code = done.returncode
        self.bytes = done.stdout
        self.out = done.stdout.decode(errors="backslashreplace")
        self.err = done.stderr.decode(errors="backslashreplace")
        assert not SANITIZER.search(self.err), self.err

    def json(self):
        return json.loads(self.out)

    def __repr__(self):
        return f"code {self.code}\n{self.out[-3000:]}{self.err[-3000:]}"


def echoc(*words, stdin=b"", prefix=(), seconds=60):
    """Run `echoc WORDS...` to its end."""
    done = subprocess.run([*prefix, *WRAPPER, ECHOC, *map(str, words)], input=stdin,
                          capture_output=True, timeout=seconds * SLOW, check=False)
    return Result(done)


def start(*words, prefix=(), **options):
    """The same, running."""
    return subprocess.Popen([*prefix, *WRAPPER, ECHOC, *map(str, words)],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)


def target(service):
    """The words that name SERVICE's protocol and place."""
    flags = {"tcp": [], "udp": ["--udp"], "mptcp": ["--mptcp"], "unix": ["--unix"],
             "unix-dgram": ["--unix-dgram"]}[service.protocol]
    if service.protocol.startswith("unix"):
        return [*flags, service.address]
    return [*flags, service.address[0], service.address[1]]
