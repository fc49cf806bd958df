#!/bin/sh
# SPDX-License-Identifier: ISC
# Make configure and Makefile.in from configure.ac and Makefile.am.
cd "$(dirname "$0")" && exec autoreconf --force --install --warnings=all,no-portability
