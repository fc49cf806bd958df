# SPDX-License-Identifier: ISC
"""The checks of the datagram service."""

import contextlib
import errno
import random
import select
import socket
import time

import wire
from client import SILENCE, drain, fresh, silent
from rows import Fail, NotApplicable, check, require

SIZES = (1, 2, 511, 512, 513, 1472, 1473, 2048, 2049, 4096, 4097, 8192, 8193, 32768)
LARGEST4, LARGEST6 = 65507, 65527
AT_ONCE = 100
# Services that answer whatever comes, or amplify: echo discard daytime qotd chargen time domain
# tftp ntp snmp ldap ssdp mdns memcached.
PORTS = (7, 9, 13, 17, 19, 37, 53, 69, 123, 161, 389, 1900, 5353, 11211)
LOOP_MOST = 1000    # datagrams
FLOOD_SECONDS = 1.0
BURST, PAUSE = 40, 0.002
FLOOD_LEAST = 8000  # a second; a machine that sends fewer cannot tell
ANSWERS_MOST = 2500  # a second
HONEST = 20         # datagrams of an honest client during a flood
MEMORY = 16         # MiB


@check("udp.empty", "an empty datagram is answered by an empty one", "RFC 768", "udp")
def empty(t):
    with t.datagram() as s:
        t.ask(s, b"")


@check("udp.sizes", f"1 to {SIZES[-1]:,} bytes return whole", "RFC 862", "udp")
def sizes(t):
    with t.datagram() as s:
        for size in SIZES:
            ask_size(t, s, size, t.host)


def ask_size(t, s, size, host):
    try:
        t.ask(s, fresh(size), host, anyone=True)
    except Fail as e:
        raise Fail(str(e) if "bytes" in str(e) else f"{size} bytes: {e}") from None


@check("udp.largest", f"the largest datagram, {LARGEST4:,} bytes, returns whole", "RFC 768",
       "udp", "ipv4")
def largest(t):
    with t.datagram() as s:
        ask_size(t, s, LARGEST4, t.host)


@check("udp.many", f"{AT_ONCE} clients at once each get their own", "RFC 862", "udp")
def many(t):
    with contextlib.ExitStack() as stack:
        clients = [(stack.enter_context(t.datagram()), fresh(100)) for _ in range(AT_ONCE)]
        for s, data in clients:
            s.sendto(data, (t.host, t.udp))
        waiting = dict(clients)
        while waiting and (ready := select.select(list(waiting), [], [], 1.0)[0]):
            for s in ready:
                require(s.recv(200) == waiting.pop(s), "another's datagram")
        require(not waiting, f"{AT_ONCE - len(waiting)} of {AT_ONCE}")


@check("udp.gone", "clients that are gone when the answer comes hurt no other",
       "RFC 1122 4.1.3.3", "udp")
def gone(t):
    for _ in range(50):
        with t.datagram() as s:
            s.sendto(fresh(20), (t.host, t.udp))
    for _ in range(3):
        t.answers()


@check("udp.address", "the address that was asked answers", "RFC 1123 2.3", "udp", "second")
def address(t):
    with t.datagram() as s:
        t.ask(s, fresh(20))
        t.ask(s, fresh(20), t.second)
    if t.ipv6 and t.second6:
        with t.datagram(host=t.ipv6) as s:
            t.ask(s, fresh(20), t.ipv6)
            t.ask(s, fresh(20), t.second6)


@check("udp.ipv6", f"the same over IPv6, up to {LARGEST6:,} bytes", "RFC 8200", "udp", "ipv6")
def ipv6(t):
    with t.datagram(host=t.six) as s:
        for size in (0, 1, 1452, LARGEST6):
            ask_size(t, s, size, t.six)


@check("udp.amplify", "never more datagrams or bytes out than in", "CWE-406", "udp")
def amplify(t):
    count = back = size = 0
    n = 100
    with t.datagram() as s:
        for i in range(n):
            s.sendto(fresh(i * 14), (t.host, t.udp))
            size += i * 14
            if i % 10 == 9:  # no more than our buffer holds
                silent(s, 0.1)
                time.sleep(0.01)
                count, back = add((count, back), drain(s))
        time.sleep(SILENCE)
        count, back = add((count, back), drain(s))
    require(count <= n and back <= size,
            f"{count} datagrams, {back:,} bytes, for {n} and {size:,}")
    require(count, "no answer")


def add(a, b):
    return a[0] + b[0], a[1] + b[1]


@check("udp.source-ports", "what comes from port 7, 19, 53 ... is not answered",
       "CVE-1999-0103", "udp", "bind")
def source_ports(t):
    answered = []
    for port in PORTS + ((t.udp,) if t.udp not in PORTS else ()):
        try:
            s = t.datagram(port=port)
        except OSError as e:
            if e.errno != errno.EADDRINUSE:
                raise
            continue
        with s:
            s.sendto(fresh(20), (t.host, t.udp))
            if not silent(s, 0.1):
                answered.append(port)
    t.answers()
    require(not answered, "all answered" if len(answered) >= len(PORTS)
            else " ".join(map(str, answered)) + " answered")


def not_heard(t, send, seconds=SILENCE):
    """What SEND(socket) sends is not answered, though others are."""
    with t.datagram(source=t.own) as s:
        try:
            send(s)
        except OSError as e:
            raise NotApplicable(f"cannot be sent: {e.strerror}") from None
        require(silent(s, seconds), "answered")
    t.answers()


@check("udp.broadcast", "a broadcast is not answered", "CVE-1999-0514", "udp", "ipv4")
def broadcast(t):
    _, everyone = t.interface
    if not everyone or everyone == "0.0.0.0":
        raise NotApplicable("the interface has no broadcast address")
    not_heard(t, lambda s: s.sendto(fresh(20), (everyone, t.udp)))


@check("udp.multicast", "a datagram to every host's group is not answered", "CVE-1999-0514", "udp",
       "ipv4")
def multicast(t):
    def send(s):
        s.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(t.own))
        s.sendto(fresh(20), ("224.0.0.1", t.udp))
    not_heard(t, send)
    if t.ipv6:
        with t.datagram(host=t.ipv6) as s:
            scope = socket.if_nametoindex(t.interface[0])
            s.sendto(fresh(20), ("ff02::1", t.udp, 0, scope))
            require(silent(s), "answered")


@check("udp.port-zero", "source port 0 is not answered, and does no harm", "RFC 768", "udp",
       "ipv4", "raw")
def port_zero(t):
    with wire.Link(t.interface[0], (t.host, t.udp)) as link, \
            wire.Forger((t.host, t.udp)) as forger:
        mark = fresh(20)
        for _ in range(20):
            forger.send((t.own, 0), mark)
        require(not link.answers([mark], SILENCE), "answered")
    t.answers()


@check("udp.impossible", "what comes from a group, a broadcast or another impossible address is not answered",
       "RFC 1122 3.2.1.3", "udp", "ipv4", "raw")
def impossible(t):
    name, everyone = t.interface
    t.answers()  # and so its hardware address is known
    sources = ["0.0.0.0", "127.0.0.1", "224.0.0.1", "239.1.2.3", "240.0.0.1", "255.255.255.255",
               everyone, t.host]
    with wire.Link(name, (t.host, t.udp)) as link:
        hardware = link.neighbour()
        if not hardware:
            raise NotApplicable("the server is not on our link")
        marks = {fresh(20): source for source in sources}
        for mark, source in marks.items():
            link.send(hardware, (source, 40000), mark)
        answered = sorted(marks[m] for m in link.answers(marks, SILENCE))
    require(not answered, " ".join(answered) + " answered")
    t.answers()


@check("udp.loop", f"a loop with a naive echo ends, after {LOOP_MOST} datagrams at most",
       "CVE-2024-2169", "udp", "hostile")
def loop(t):
    with t.datagram() as naive:
        naive.settimeout(SILENCE)
        naive.sendto(fresh(20), (t.host, t.udp))
        rounds, begin = 0, time.monotonic()
        end = begin + 3.0
        try:
            while time.monotonic() < end:
                naive.sendto(*naive.recvfrom(65536))
                rounds += 1
            seconds = time.monotonic() - begin
        except TimeoutError:
            require(rounds, "no answer")
            require(rounds <= LOOP_MOST, f"{rounds} datagrams")
            t.answers()
            return f"{rounds} datagrams"
    raise Fail(f"endless, {rounds / seconds:,.0f} a second")


class Honest:
    """A client of another address that asks now and then while others flood."""

    def __init__(self, t):
        self.target, self.socket = t, t.datagram(source=t.other)
        self.waiting, self.asked, self.served = {}, 0, 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def ask(self):
        data = fresh(20)
        self.socket.sendto(data, (self.target.host, self.target.udp))
        self.waiting[data] = time.monotonic()
        self.asked += 1

    def listen(self, seconds=0.0):
        """Take what has come, or comes within SECONDS."""
        end = time.monotonic() + seconds
        self.socket.setblocking(False)
        while True:
            try:
                self.served += self.waiting.pop(self.socket.recv(65536), None) is not None
            except BlockingIOError:
                if self.served == self.asked or silent(self.socket,
                                                       max(0.0, end - time.monotonic())):
                    return


def flood(send, honest):
    """SEND(i) for FLOOD_SECONDS in bursts, with questions of HONEST between.  Returns the number
    sent and the seconds that it took."""
    sent, begin = 0, time.monotonic()
    next_question = begin
    while (now := time.monotonic()) < begin + FLOOD_SECONDS:
        for _ in range(BURST):
            send(sent)
            sent += 1
        if now >= next_question:
            honest.ask()
            next_question += FLOOD_SECONDS / HONEST
        honest.listen()
        time.sleep(PAUSE)
    seconds = time.monotonic() - begin
    honest.listen(1.0)
    return sent, seconds


def judge(flooded, answers, honest):
    """What must be true of a flood's outcome."""
    sent, seconds = flooded
    if answers is not None:
        require(answers / seconds <= ANSWERS_MOST, f"{answers / seconds:,.0f} answers a second")
    require(honest.served >= 0.8 * honest.asked,
            f"{honest.served} of {honest.asked} others answered")
    if sent / FLOOD_SECONDS < FLOOD_LEAST:
        raise NotApplicable(f"this machine sends only {sent / FLOOD_SECONDS:,.0f} a second")
    return f"{sent:,} sent" + ("" if answers is None else f", {answers:,} answered")


@check("udp.flood", "a flood from one address is limited, and others are answered meanwhile",
       "CWE-770", "udp", "other", "hostile")
def flooded(t):
    with t.datagram() as s, Honest(t) as honest:
        s.setblocking(False)
        answers = 0

        def send(i):
            nonlocal answers
            with contextlib.suppress(BlockingIOError):
                s.sendto(b"%08d" % i, (t.host, t.udp))
            if i % BURST == 0:
                answers += drain_now(s)
        outcome = flood(send, honest)
        return judge(outcome, answers + drain_now(s), honest)


def drain_now(s):
    count = drain(s)[0]
    s.setblocking(False)
    return count


@check("udp.reflect", "forged in a victim's name, a flood reaches the victim only limited",
       "CWE-406", "udp", "ipv4", "other", "raw", "hostile")
def reflected(t):
    with t.datagram(source=t.own) as victim, Honest(t) as honest, \
            wire.Forger((t.host, t.udp)) as forger:
        place, answers = victim.getsockname(), 0

        def send(i):
            nonlocal answers
            forger.send(place, b"%08d" % i)
            if i % BURST == 0:
                answers += drain_now(victim)
        outcome = flood(send, honest)
        return judge(outcome, answers + drain_now(victim), honest)


@check("udp.not-silenced", "such a flood does not take the service from the victim altogether",
       "CWE-406", "udp", "ipv4", "raw", "hostile")
def not_silenced(t):
    with t.datagram(source=t.own) as victim, wire.Forger((t.host, t.udp)) as forger:
        own, served, asked = set(), 0, 0
        end = time.monotonic() + 2 * FLOOD_SECONDS
        while time.monotonic() < end:
            # Not always behind the burst: who asks knows nothing of who forges.
            turn = random.randrange(BURST)
            for i in range(BURST):
                if i == turn:
                    data = fresh(21)
                    victim.sendto(data, (t.host, t.udp))
                    own.add(data)
                    asked += 1
                forger.send((t.own, 50000 + i), fresh(20))  # another port of the victim's address
            time.sleep(PAUSE)
            victim.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    served += victim.recv(100) in own
        require(served >= asked / 50, f"{served} of {asked} answered")
        return f"{served} of {asked} answered"


@check("udp.random", "a flood from random addresses costs no memory, and others are answered",
       "CWE-770", "udp", "ipv4", "other", "raw", "hostile")
def randoms(t):
    before = t.memory()
    with Honest(t) as honest, wire.Forger((t.host, t.udp)) as forger:
        packets = [wire.udp_packet((f"198.18.{random.randrange(256)}.{random.randrange(256)}",
                                    1024 + random.randrange(60000)), (t.host, t.udp), fresh(8))
                   for _ in range(20000)]
        outcome = flood(lambda i: forger.packet(packets[i % len(packets)]), honest)
        seen = judge(outcome, None, honest)
    grown = t.memory() - before
    require(grown <= MEMORY, f"grew by {grown:.0f} MiB")
    return seen
