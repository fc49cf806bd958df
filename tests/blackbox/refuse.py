#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""refuse.py ERRNO COMMAND...: run COMMAND where io_uring_setup(2) fails with ERRNO, as a filter
of system calls makes it fail."""

import ctypes
import errno
import os
import struct
import sys

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, MODE_FILTER = 22, 38, 2
IO_URING_SETUP = 425  # on every architecture but Alpha
LOAD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06  # of struct sock_filter: BPF_LD | W | ABS, ...
ALLOW, FAIL = 0x7fff0000, 0x00050000


def refuse(error):
    libc = ctypes.CDLL(None, use_errno=True)
    code = b"".join(struct.pack("HBBI", *row) for row in (
        (LOAD, 0, 0, 0),
        (JUMP_EQUAL, 0, 1, IO_URING_SETUP),
        (RETURN, 0, 0, FAIL | error),
        (RETURN, 0, 0, ALLOW)))
    rows = ctypes.create_string_buffer(code, len(code))
    program = ctypes.create_string_buffer(
        struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(rows)))
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
            PR_SET_SECCOMP, MODE_FILTER, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    refuse(getattr(errno, sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])
