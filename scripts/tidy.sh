#!/bin/sh
# clang-tidy over our own sources, two files at a time, from the compile commands of a preset.
# usage: scripts/tidy.sh PRESET [FILE...]      default: every .cc outside tests/ and benchmarks/
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/lib.sh"
cd "$root"
[ $# -ge 1 ] || fail "usage: scripts/tidy.sh PRESET [FILE...]"
preset=$1; shift
[ -e "build/$preset/compile_commands.json" ] || fail "configure first: cmake --preset $preset"
[ $# -gt 0 ] || set -- $(git ls-files '*.cc' | grep -vE '^(tests|benchmarks)/')
# GCC-only warning flags in the database are not Clang's business; the analyzer's path search on
# coroutine code costs minutes and finds what the sanitizers find.
printf '%s\n' "$@" | xargs -P 2 -n 4 clang-tidy -p "build/$preset" --quiet \
  --extra-arg=-Wno-unknown-warning-option --checks='-clang-analyzer-*'
