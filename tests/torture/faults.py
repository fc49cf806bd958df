# SPDX-License-Identifier: ISC
"""What can fail: each call of libc that a process of the daemon makes, and the errors that its
manual page gives it there; the completions of io_uring; and its system calls, which no function
of libc makes.

What is not among them is in LEFT_OUT, with a reason."""

NETWORK = ["ECONNRESET", "EPIPE", "ETIMEDOUT", "EHOSTUNREACH"]
MEMORY = ["ENOBUFS", "ENOMEM"]
PASSING = ["EINTR", "EAGAIN"]
FILES = ["EMFILE", "ENFILE"]
REFUSED = ["ECONNREFUSED", "EPERM", "ENETUNREACH", "EMSGSIZE", "EINVAL"]

FAULTS = {
    # clients
    "accept4": PASSING + FILES + MEMORY + ["ECONNABORTED", "EPROTO", "EPERM"],
    "recv": PASSING + MEMORY + NETWORK,
    "send": PASSING + MEMORY + NETWORK,
    "sendmsg": PASSING + MEMORY + REFUSED,
    "recvmmsg": PASSING + MEMORY + ["ECONNREFUSED"],
    "sendmmsg": PASSING + MEMORY + REFUSED,
    "shutdown": ["ENOTCONN", "ENOBUFS"],
    "ioctl": ["EINVAL"],
    "getpeername": ["ENOTCONN", "ENOBUFS"],
    # waits
    "epoll_wait": ["EINTR"],
    "poll": ["EINTR", "ENOMEM"],
    "epoll_create1": FILES + ["ENOMEM"],
    "epoll_ctl": ["ENOMEM", "ENOSPC"],
    "eventfd": FILES + ["ENOMEM"],
    "signalfd": FILES + ["ENOMEM"],
    "timerfd_create": FILES + ["ENOMEM"],
    # processes and threads
    "fork": ["EAGAIN", "ENOMEM"],
    "pthread_create": ["EAGAIN"],
    "kill": ["EPERM"],
    "sched_setaffinity": ["EINVAL", "EPERM"],
    "setrlimit": ["EPERM"],
    "setpriority": ["EACCES"],
    "prctl": ["EINVAL", "EPERM"],
    "sched_getaffinity": ["EINVAL"],
    "setgroups": ["EPERM"],
    "setresgid": ["EAGAIN", "EPERM"],
    "setresuid": ["EAGAIN", "EPERM"],
    "getpwnam": ["EMFILE", "EIO"],
    "getgrnam": ["EMFILE", "EIO"],
    "syscall": ["ENOSYS", "EPERM", "ENOMEM", "EMFILE"],
    # sockets
    "socket": FILES + MEMORY + ["EACCES", "EAFNOSUPPORT"],
    "socketpair": FILES,
    "pipe2": FILES,
    "bind": ["EADDRINUSE", "EACCES", "EADDRNOTAVAIL"],
    "listen": ["EADDRINUSE"],
    "connect": ["EAGAIN", "ECONNREFUSED"],
    "setsockopt": ["ENOPROTOOPT", "ENOMEM", "EPERM"],
    "getsockopt": ["ENOPROTOOPT", "ENOBUFS"],
    "getsockname": ["ENOBUFS"],
    # files and memory
    "open": FILES + ["EACCES", "ENOENT"],
    "read": PASSING,
    "write": ["EINTR", "EAGAIN", "EIO", "EPIPE"],
    "openat": FILES + ["EACCES"],
    "flock": ["EINTR", "ENOLCK"],
    "ftruncate": ["EIO"],
    "pwrite": ["ENOSPC", "EIO"],
    "fcntl": ["EMFILE"],
    "dup2": ["EMFILE", "EBUSY"],
    "fstat": ["ENOMEM"],
    "lstat": ["EACCES"],
    "unlink": ["EACCES"],
    "fchmodat": ["EPERM", "EOPNOTSUPP"],
    "fchmod": ["EPERM"],
    "chdir": ["EACCES"],
    "getcwd": ["ENOENT", "EACCES"],
    "madvise": ["EINVAL"],
    "gethostname": ["ENAMETOOLONG"],
    "nanosleep": ["EINTR"],
    "getrandom": ["EINTR"],
    "mmap": ["ENOMEM"],
    "malloc": ["ENOMEM"],
}

# What the ring was asked for, by the kinds of complete.c.  SHORT is less than was asked for.
LOST = ["EBADF", "ENOMEM", "ECONNRESET", "ETIMEDOUT"]
AGAIN = ["EINTR", "EAGAIN", "ECANCELED"]
WAITS = AGAIN + ["EBADF", "ENOMEM"]
COMPLETIONS = {
    "cqe_receive": ["SHORT", "ENOBUFS"] + AGAIN + LOST,
    "cqe_send": ["SHORT", "ENOBUFS", "EPIPE"] + AGAIN + LOST,
    "cqe_poll": WAITS,
    "cqe_listener": WAITS,
    "cqe_leash": WAITS,
    "cqe_bell": WAITS,
    "cqe_alarm": WAITS,
    "cqe_cancel": ["ENOENT", "EALREADY", "EINTR"],
}

# By strace(1): the Nth of each process.
RINGS = {
    "io_uring_setup": ["ENOSYS", "EPERM", "ENOMEM", "EINVAL", "EMFILE"],
    "io_uring_register": ["EINVAL", "ENOMEM"],
    "io_uring_enter": ["EINTR", "EAGAIN", "EBUSY", "ENOMEM"],
}

ALL = {**FAULTS, **COMPLETIONS, **RINGS}

# Calls to the system that the daemon makes and that do not fail here, by the reasons why.
LEFT_OUT = {
    "to make it fail is to skip it, and what then stays open, mapped or uncollected is the "
    "test's fault": ["close", "close_range", "munmap", "waitid", "waitpid"],
    "it has no error, or none with arguments that are right": [
        "_exit", "clock_gettime", "getegid", "geteuid", "getpid", "getrlimit", "gettid", "setsid",
        "setuid", "timerfd_settime", "umask", "sigaction", "sigprocmask", "signal",
        "pthread_attr_setdetachstate", "pthread_attr_setstacksize", "pthread_barrier_wait",
        "pthread_join"],
    "it asks for a name that no life has (of a port, of an interface), and a failure is like that "
    "of a name which is not there": ["getservbyname_r", "if_indextoname", "if_nametoindex"],
    "it reads a list of the kernel's, and a failure is like an empty list": ["fopen"],
    "it is made of calls that are above: open(2), flock(2), and fstat(2)": ["flopen"],
    "it is made of calls that are above: malloc(3)": ["open_memstream", "strdup", "asprintf"],
    "syslog(3) tells nobody whether it could": ["openlog", "syslog", "closelog"],
}

# Calls that are made for one client: nobody else may suffer, and none from what passes.
FOR_ONE = {"recv", "send", "shutdown", "getpeername", "ioctl", "cqe_receive", "cqe_send"}
FOR_NONE = {"accept4", "epoll_wait", "cqe_poll", "cqe_listener", "cqe_leash", "cqe_bell",
            "cqe_alarm", "cqe_cancel"}
# What a worker's alarm and the line to the service manager need, which they can do without: they
# have a descriptor less then.
SPARED = {"timerfd_create", "epoll_ctl", "socket", "cqe_alarm"}
# What fails is said before there is a logger.
BEFORE_THE_LOG = {"chdir"}
PASSES = {"SHORT", *PASSING, *AGAIN}


def losses(call, error):
    """How many clients may lose their connection; None: as many as a worker has."""
    if call in FOR_NONE or (call in FOR_ONE and error in PASSES) or call == "cqe_receive" \
            and error == "ENOBUFS":
        return 0
    return 1 if call in FOR_ONE else None
