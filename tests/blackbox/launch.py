# SPDX-License-Identifier: ISC
"""launch.py FD[,FD...] NAME[:NAME...] COMMAND...: run COMMAND as systemd would, with the
descriptors as 3, 4, ... under these names.  LISTEN_PID is ours, which COMMAND keeps."""

import os
import sys

fds = [int(x) for x in sys.argv[1].split(",") if x]
high = [os.dup2(fd, 500 + i, inheritable=False) for i, fd in enumerate(fds)]
os.closerange(3, 500)
for i, fd in enumerate(high):
    os.dup2(fd, 3 + i)
os.environ["LISTEN_PID"] = str(os.getpid())
os.environ["LISTEN_FDS"] = str(len(fds))
os.environ["LISTEN_FDNAMES"] = sys.argv[2]
os.execvp(sys.argv[3], sys.argv[3:])
