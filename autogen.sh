#!/bin/sh
# SPDX-License-Identifier: ISC
# Make configure and Makefile.in from configure.ac and Makefile.am.
set -e
cd "$(dirname "$0")"
# Until every source exists: list what is there.
{
	printf 'ECHOD_FOUND_SOURCES ='; for f in src/*.[ch]; do [ "$f" = src/main.c ] || printf ' \\\n\t%s' "$f"; done; echo
	printf 'UNIT_FOUND ='; for f in tests/unit/test_*.c; do [ -e "$f" ] && printf ' \\\n\t%s' "${f%.c}"; done; echo
	printf 'BENCH_FOUND ='; for f in bench/*.c; do [ -e "$f" ] && printf ' %s' "${f%.c}"; done; echo
	for f in bench/*.c; do [ -e "$f" ] && p=$(echo "${f%.c}" | tr /- __) && printf '%s_CPPFLAGS = $(HARDENING_CPPFLAGS)\n%s_LDADD =\n' $p $p; done
	printf 'MAN_FOUND ='; for f in man/*.[1-8]; do [ -e "$f" ] && printf ' %s' "$f"; done; echo
	printf 'DIST_FOUND ='; for f in README.md LICENSE docs doc ARCHITECTURE.md HACKING.md bench/*; do case $f in bench/*.c|bench/__*|bench/run) continue;; esac; [ -n "$(git ls-files $f)" ] && printf ' %s' "$f"; done; echo
} > sources.am.new
cmp -s sources.am.new sources.am || cp sources.am.new sources.am
rm -f sources.am.new
exec autoreconf --force --install --warnings=all,no-portability
