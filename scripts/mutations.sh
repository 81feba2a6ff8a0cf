#!/bin/sh
# Every defence has a patch that removes it (tests/mutations/*.patch) and a test that must then fail.
# usage: scripts/mutations.sh [PATCH...]      default: all of them
# Works on copies of the last commit under build/, so that the tree itself is never touched: a copy
# for each processor, with its share of the patches, ordered by what they have to build.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/lib.sh"
work="$root/build/mutations"
mkdir -p "$work"
[ $# -gt 0 ] || set -- "$root"/tests/mutations/*.patch

# head_line FILE KEY: the value of "# KEY: value"
head_line() { sed -n "s/^# $2: *//p" "$1" | head -n 1; }

: >"$work/patches"
for patch in "$@"; do
  [ -n "$(head_line "$patch" test)" ] && [ -n "$(head_line "$patch" target)" ] ||
    fail "$patch: needs '# test:' and '# target:' lines"
  say "$(head_line "$patch" target) $patch" >>"$work/patches"
done
sort "$work/patches" | sed 's/^[^ ]* //' >"$work/sorted"
shards=$(nproc)
[ "$shards" -le $# ] || shards=$#

# unchanged SHARD: its copy, built, with every named test passing.
unchanged() {
  tree="$work/tree-$1"
  mkdir -p "$tree"
  # Sources only: the build tree of the last run stays and makes the next one quick.
  find "$tree" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
  (cd "$root" && git archive HEAD) | tar -xf - -C "$tree"
  cd "$tree"
  cmake --preset dev >"$work/configure.log" 2>&1 || { cat "$work/configure.log"; exit 1; }
  cmake --build --preset dev --target $(while read -r patch; do head_line "$patch" target; done \
    <"$work/shard-$1" | sort -u) >"$work/build.log" 2>&1 || {
    tail -n 30 "$work/build.log"; fail "the unchanged tree does not build"; }
  while read -r patch; do
    ctest --preset dev -N -R "$(head_line "$patch" test)" >"$work/test.log" 2>&1 </dev/null || true
    grep -q '^Total Tests: [1-9]' "$work/test.log" ||
      fail "$patch: there is no test $(head_line "$patch" test)"
  done <"$work/shard-$1"
  # ctest takes only so long an expression: twenty tests at a time.
  split -l 20 "$work/shard-$1" "$work/part-$1-"
  for part in "$work/part-$1"-*; do
    tests=$(while read -r patch; do head_line "$patch" test; done <"$part" | paste -sd '|' -)
    ctest --preset dev -R "$tests" --no-tests=error >"$work/test.log" 2>&1 || {
      tail -n 30 "$work/test.log"; fail "a named test fails without any mutation"; }
  done
  cd "$root"
}

# mutate SHARD: a line a patch; fails when one is missed.
mutate() {
  cd "$work/tree-$1"
  missed=0
  while read -r patch; do
    name=$(basename "$patch" .patch)
    log="$work/$name.log"
    patch -p1 -s --dry-run <"$patch" >"$log" 2>&1 || {
      cat "$log"; fail "$name: the patch does not apply any more"; }
    patch -p1 -s <"$patch"
    if ! cmake --build --preset dev --target $(head_line "$patch" target) >>"$log" 2>&1 </dev/null; then
      verdict="does not compile"
    elif ctest --preset dev -R "$(head_line "$patch" test)" --no-tests=error >>"$log" 2>&1 </dev/null; then
      verdict="the test still passes"
    elif grep -q '^The following tests FAILED' "$log"; then
      verdict=caught
    else
      verdict="no test failed"
    fi
    patch -p1 -s -R <"$patch"
    if [ "$verdict" = caught ]; then
      say "caught   $name: $(head_line "$patch" what)"
    else
      missed=$((missed + 1))
      say "MISSED   $name ($verdict; log: build/mutations/$name.log)"
    fi
  done <"$work/shard-$1"
  [ "$missed" -eq 0 ]
}

say "building the unchanged tree"
rm -f "$work"/shard-* "$work"/part-*
awk -v shards="$shards" -v all=$# -v to="$work/shard-" \
  '{ print > (to int((NR - 1) * shards / all)) }' "$work/sorted"
pids=
for shard in "$work"/shard-*; do unchanged "${shard##*-}"; done
for shard in "$work"/shard-*; do
  mutate "${shard##*-}" &
  pids="$pids $!"
done
bad=0
for pid in $pids; do wait "$pid" || bad=1; done
[ "$bad" -eq 0 ] || fail "mutations: a defence can be removed and no test says so"
say "mutations: all $# caught"
