#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""refuse.py ERRNO[:CALL] COMMAND...: run COMMAND where CALL, io_uring_setup(2) by default, fails with
ERRNO, as a filter of system calls makes it fail."""

import ctypes
import errno
import os
import platform
import struct
import sys

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS, MODE_FILTER = 22, 38, 2
NUMBERS = {  # the first three the same on every architecture but Alpha
    "io_uring_setup": 425, "io_uring_enter": 426, "landlock_create_ruleset": 444,
    "seccomp": {"x86_64": 317, "aarch64": 277, "riscv64": 277}.get(platform.machine(), 0)}
LOAD, JUMP_EQUAL, RETURN = 0x20, 0x15, 0x06  # of struct sock_filter: BPF_LD | W | ABS, ...
ALLOW, FAIL = 0x7fff0000, 0x00050000


def refuse(error, number):
    libc = ctypes.CDLL(None, use_errno=True)
    code = b"".join(struct.pack("HBBI", *row) for row in (
        (LOAD, 0, 0, 0),
        (JUMP_EQUAL, 0, 1, number),
        (RETURN, 0, 0, FAIL | error),
        (RETURN, 0, 0, ALLOW)))
    rows = ctypes.create_string_buffer(code, len(code))
    program = ctypes.create_string_buffer(
        struct.pack("HxxxxxxP", len(code) // 8, ctypes.addressof(rows)))
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.prctl(
            PR_SET_SECCOMP, MODE_FILTER, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


if __name__ == "__main__":
    name, _, call = sys.argv[1].partition(":")
    refuse(getattr(errno, name), NUMBERS[call or "io_uring_setup"])
    os.execvp(sys.argv[2], sys.argv[2:])
