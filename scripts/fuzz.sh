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

# fuzz_one NAME: new inputs go to the build folder; the corpus of the repository is read only.
fuzz_one() {
  name=$1
  found="build/fuzz/found/$name"
  mkdir -p "$found"
  if ! "build/fuzz/fuzz/${name}_fuzz" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 \
      -print_final_stats=1 -artifact_prefix="$found/crash-" "$found" "tests/fuzz/${name}_corpus" \
      >"build/fuzz/$name.log" 2>&1; then
    tail -n 40 "build/fuzz/$name.log"
    say "fuzz $name: a finding; the input is in $found"
    return 1
  fi
  say "fuzz $name: $(sed -n 's/^stat::number_of_executed_units: *//p' "build/fuzz/$name.log") runs, no finding"
}

findings=0
running=
wait_for_running() {
  for pid in $running; do wait "$pid" || findings=$((findings + 1)); done
  running=
}
# As many at once as there are processors.
started=0
for name in "$@"; do
  fuzz_one "$name" &
  running="$running $!"
  started=$((started + 1))
  [ $((started % $(nproc))) -ne 0 ] || wait_for_running
done
wait_for_running
[ "$findings" -eq 0 ] || fail "$findings of $# targets have a finding"
say "fuzz: $# targets, $seconds s each, no finding"
