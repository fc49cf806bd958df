# SPDX-License-Identifier: ISC
# What the tests have in common: sourced.
set -eu

conf=/etc/echod/echod.conf
work=$(mktemp -d)
cp -a "$conf" "$work/echod.conf"

fail() {
	echo "FAIL: $*"
	systemctl status --no-pager echod || true
	journalctl --no-pager -n 50 -u echod || true
	exit 1
}

# Leave the service as it was found, for the next test.
restore() {
	[ ! -d /etc/echod ] || cp -a "$work/echod.conf" "$conf"
	rm -rf "$work"
}
trap restore EXIT

# echoes HOST [OPTION...]: one text comes back.
echoes() {
	host=$1
	shift
	[ "$(timeout 30 echoc send "$@" "$host" 7 hello)" = hello ] || fail "no echo: $host $*"
}

main_pid() { systemctl show -P MainPID echod; }
