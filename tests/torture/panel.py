# SPDX-License-Identifier: ISC
"""The panel of fail.c: which call is to fail, whether it has, and how often each was made."""

import errno
import os
import struct
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
SOURCES = [HERE / "fail.c", HERE / "complete.c"]
HEAD, ROW, HEAP = (struct.Struct(x) for x in ("=32sII", "=32sI", "=Ii"))  # struct panel
ROWS, HEAPS = 100, 1000
SHORT = "SHORT"  # in the place of an errno: less than was asked for


def build(directory):
    """Compile the library; returns its path."""
    library = directory / "fail.so"
    cc = os.environ.get("CC", "cc")
    sanitized = ["-DNO_MALLOC"] if os.environ.get("ECHOD_SANITIZE") else []
    liburing = subprocess.run([cc, "-E", "-include", "liburing.h", "-x", "c", "/dev/null"],
                              capture_output=True, check=False).returncode == 0
    sources = SOURCES if liburing else SOURCES[:1]
    subprocess.run([cc, "-std=gnu17", "-O2", "-fPIC", "-shared", "-Wall", "-Wextra", "-Werror",
                    *sanitized, "-o", str(library), *map(str, sources), "-ldl"], check=True)
    return library


class Panel:
    """FAULT is what is to fail, or None: then the calls are counted alone."""

    def __init__(self, library, path, fault=None):
        self.path, self.fault = path, fault
        error = getattr(errno, fault.error, 0) if fault else 0
        path.write_bytes(HEAD.pack(fault.call.encode() if fault else b"",
                                   fault.position if fault else 0, error)
                         + bytes(ROW.size * ROWS + HEAP.size * HEAPS + 4))
        path.chmod(0o666)
        self.env = {"LD_PRELOAD": str(library), "ECHOD_FAIL": str(path)}

    def made(self):
        """{call: how often}."""
        rows = ROW.iter_unpack(self.path.read_bytes()[HEAD.size:][:ROW.size * ROWS])
        return {name.rstrip(b"\0").decode(): n for name, n in rows if name[0]}

    def heaps(self):
        """{pid: how many blocks it has of malloc(3), or had at its end}."""
        rows = self.path.read_bytes()[HEAD.size + ROW.size * ROWS:][:HEAP.size * HEAPS]
        return {pid: blocks for pid, blocks in HEAP.iter_unpack(rows) if pid}

    def happened(self):
        return self.made().get(self.fault.call, 0) >= self.fault.position
