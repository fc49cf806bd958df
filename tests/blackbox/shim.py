# SPDX-License-Identifier: ISC
"""The control panel of tests/shim/shim.c, which makes the kernel's answers worse."""

import mmap
import os
import struct
import subprocess
from pathlib import Path

DIRECTORY = Path(__file__).resolve().parent.parent / "shim"
SOURCES = ("shim.c", "fortified.c")

# The words of struct panel in shim.c, in order.
SETTINGS = ("seed", "cut_percent", "cut_most", "again_percent", "intr_percent",
            "accept_errno", "accept_left", "fork_skip", "fork_errno", "fork_left",
            "thread_errno", "thread_left", "send_skip", "send_errno", "send_left",
            "receive_errno", "receive_left", "hang_left", "wall_days", "call_number", "call_accept", "call_transfer")
COUNTS = ("did_cut", "did_again", "did_intr", "did_accept", "did_fork", "did_thread", "did_send",
          "did_receive", "streams")
WORDS = SETTINGS + COUNTS
FOREVER = 0xFFFFFFFF


def compile_to(target, sources, *options):
    subprocess.run([os.environ.get("CC", "cc"), "-std=gnu17", "-O2", "-Wall", "-Wextra", "-Werror",
                    "-o", str(target), *(str(DIRECTORY / name) for name in sources), *options],
                   check=True)
    return target


def build(directory, sources=SOURCES):
    """Compile the library; returns its path."""
    return compile_to(directory / "shim.so", sources, "-fPIC", "-shared", "-ldl")


def program(directory, source):
    """Compile a client that has to be faster than Python; returns its path."""
    return compile_to(directory / Path(source).stem, [source], "-pthread")


def preload(library):
    """The environment of a daemon that has LIBRARY."""
    asan = os.environ.get("ASAN_OPTIONS", "")
    return {"LD_PRELOAD": str(library),
            "ASAN_OPTIONS": f"{asan}:verify_asan_link_order=0".lstrip(":")}


class Panel:
    """The shared words: panel.set(cut_percent=50) takes effect at once in every process of the
    daemon, panel.did_cut says how often it happened."""

    def __init__(self, library, path):
        path.write_bytes(bytes(4 * len(WORDS)))
        path.chmod(0o666)
        with open(path, "r+b") as f:
            self.words = mmap.mmap(f.fileno(), 4 * len(WORDS))
        self.env = {**preload(library), "ECHOD_SHIM": str(path)}

    def set(self, **values):
        for name, value in values.items():
            struct.pack_into("=I", self.words, 4 * SETTINGS.index(name), value & FOREVER)

    def __getattr__(self, name):
        if name not in WORDS:
            raise AttributeError(name)
        return struct.unpack_from("=I", self.words, 4 * WORDS.index(name))[0]

    def short(self, seed=1):
        """The standard storm: every transfer cut to 1..7 bytes, 5 % EAGAIN, 5 % EINTR."""
        self.set(seed=seed, cut_percent=100, cut_most=7, again_percent=5, intr_percent=5)

    def calm(self):
        self.set(**{name: 0 for name in SETTINGS})

    def close(self):
        self.words.close()
