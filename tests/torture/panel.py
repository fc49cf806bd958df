# SPDX-License-Identifier: ISC
"""The panel of fail.c: which call is to fail, and whether it has."""

import errno
import os
import struct
import subprocess
from pathlib import Path

SOURCE = Path(__file__).with_name("fail.c")
LAYOUT = "=32sIII"  # struct panel: call, position, error, at


def build(directory):
    """Compile the library; returns its path."""
    library = directory / "fail.so"
    sanitized = ["-DNO_MALLOC"] if os.environ.get("ECHOD_SANITIZE") else []
    subprocess.run([os.environ.get("CC", "cc"), "-std=gnu17", "-O2", "-fPIC", "-shared", "-Wall",
                    "-Wextra", "-Werror", *sanitized, "-o", str(library), str(SOURCE), "-ldl"],
                   check=True)
    return library


class Panel:
    def __init__(self, library, path, fault):
        self.path = path
        self.position = fault.position
        path.write_bytes(struct.pack(LAYOUT, fault.call.encode(), fault.position,
                                     getattr(errno, fault.error), 0))
        path.chmod(0o666)
        self.env = {"LD_PRELOAD": str(library), "ECHOD_FAIL": str(path)}

    def happened(self):
        return struct.unpack(LAYOUT, self.path.read_bytes())[3] >= self.position
