# SPDX-License-Identifier: ISC
# For bash to read, in tools/soak and tools/torture, from the top of the tree: install what is
# missing of the lists in $lists (tools/install-deps), build, and set ECHOD.  Where the first
# argument is --asan it is taken away, and what is built has the address and undefined-behaviour
# sanitizers.

# shellcheck shell=bash disable=SC2054,SC2086,SC2154
tools/install-deps $lists || exit
name=gcc arguments=(--enable-werror)
if [ "${1-}" = --asan ]; then
	shift
	name=asan arguments+=(--enable-sanitizers=address,undefined)
	export ECHOD_SANITIZE=address ECHOD_TEST_SLOW=3
	! setarch -R true 2>/dev/null || ECHOD_WRAPPER='setarch -R' && export ECHOD_WRAPPER
fi
unset MAKEFLAGS CFLAGS CPPFLAGS LDFLAGS
mkdir -p build/test/logs
log=build/test/logs/build-$name.log
tools/build "build/test/$name" "${arguments[@]}" >"$log" 2>&1 || { tail -n 30 "$log"; exit 1; }
export ECHOD=$PWD/build/test/$name/echod
