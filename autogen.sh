#!/bin/sh
# SPDX-License-Identifier: ISC
# Make configure and Makefile.in from configure.ac and Makefile.am.
set -e
cd "$(dirname "$0")"
# Until every source exists: list what is there.
{
	printf 'ECHOD_FOUND_SOURCES ='; for f in src/*.[ch]; do [ "$f" = src/main.c ] || printf ' \\\n\t%s' "$f"; done; echo
	printf 'UNIT_FOUND ='; for f in tests/unit/test_*.c; do [ -e "$f" ] && printf ' \\\n\t%s' "${f%.c}"; done; echo
} > sources.am.new
cmp -s sources.am.new sources.am || cp sources.am.new sources.am
rm -f sources.am.new
exec autoreconf --force --install --warnings=all,no-portability
