# SPDX-License-Identifier: ISC
"""What the other tests stand on: a container is the release it should be, is apart from others,
and can be looked into while it hangs."""

import containers

SLEEPER = "[Service]\nType=exec\nExecStart=/bin/sleep 1000\n"


def test_release(bare, release, request):
    """The release, its systemd, and a boot in which nothing failed."""
    machine = containers.Machine(bare.base)
    request.node.machines = [machine]
    try:
        machine.start()
        assert f'VERSION_ID="{release.version}"' in machine.read("/usr/lib/os-release")
        first = machine.systemctl("--version").stdout.split()
        assert first[:2] == ["systemd", str(release.systemd)]
        assert machine.systemctl("--failed", "-q").stdout == ""
    finally:
        machine.destroy()


def test_apart(bare, release, request):
    """Two containers know nothing of each other, and one whose process 1 hangs can be looked
    into."""
    machines = request.node.machines = [containers.Machine(bare.base) for _ in range(2)]
    one, two = machines
    unit = "sleeper@a.service"
    try:
        for machine in machines:
            machine.start()
        one.write("/etc/systemd/system/sleeper@.service", SLEEPER)
        one.systemctl("daemon-reload")
        one.systemctl("start", unit)
        assert list(one.members(unit).values()) == ["/bin/sleep 1000"]
        assert one.main(unit) in one.members(unit)
        assert not two.members(unit)
        assert not two.path("/etc/systemd/system/sleeper@.service").exists()
        mark = one.mark()
        with one.held(one.init):
            one.run("systemd-cat", "-t", "test", "echo", "while it hung")
            assert list(one.members(unit).values()) == ["/bin/sleep 1000"]
        assert one.wait_message("while it hung", "SYSLOG_IDENTIFIER=test", after=mark)
        one.systemctl("stop", unit)
        assert not one.members(unit)
    finally:
        for machine in machines:
            machine.destroy()
