#!/bin/sh
# Builds the libFuzzer targets with Clang and runs each on its corpus for a while.
# usage: scripts/fuzz.sh SECONDS [TARGET...]      default: every target
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/lib.sh"
cd "$root"
mkdir -p build
[ $# -ge 1 ] || fail "usage: scripts/fuzz.sh SECONDS [TARGET...]"
seconds=$1; shift

step "build (fuzz)" build_preset fuzz
[ $# -gt 0 ] || set -- $(cd build/fuzz/fuzz && ls | sed -n 's/_fuzz$//p')
count=0
for name in "$@"; do
  found="build/fuzz/found/$name"
  mkdir -p "$found"
  # New inputs go to the build folder; the corpus of the repository is read only.
  if ! "build/fuzz/fuzz/${name}_fuzz" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 \
      -print_final_stats=1 -artifact_prefix="$found/crash-" "$found" "tests/fuzz/${name}_corpus" \
      >"build/fuzz/$name.log" 2>&1; then
    tail -n 40 "build/fuzz/$name.log"
    fail "$name: a finding; the input is in $found"
  fi
  say "fuzz $name: $(sed -n 's/^stat::number_of_executed_units: *//p' "build/fuzz/$name.log") runs, no finding"
  count=$((count + 1))
done
say "fuzz: $count targets, $seconds s each, no finding"
