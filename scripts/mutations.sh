#!/bin/sh
# Every defence has a patch that removes it (tests/mutations/*.patch) and a test that must then fail.
# usage: scripts/mutations.sh [PATCH...]      default: all of them
# Works on a copy of the last commit under build/, so that the tree itself is never touched.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/lib.sh"
work="$root/build/mutations"
tree="$work/tree"
mkdir -p "$tree"
[ $# -gt 0 ] || set -- "$root"/tests/mutations/*.patch

# head_line FILE KEY: the value of "# KEY: value"
head_line() { sed -n "s/^# $2: *//p" "$1" | head -n 1; }

# Sources only: the build tree of the last run stays and makes the next one quick.
find "$tree" -mindepth 1 -maxdepth 1 ! -name build -exec rm -rf {} +
(cd "$root" && git archive HEAD) | tar -xf - -C "$tree"
cd "$tree"
cmake --preset dev >"$work/configure.log" 2>&1 || { cat "$work/configure.log"; exit 1; }

targets=
for patch in "$@"; do
  [ -n "$(head_line "$patch" test)" ] && [ -n "$(head_line "$patch" target)" ] ||
    fail "$patch: needs '# test:' and '# target:' lines"
  targets="$targets $(head_line "$patch" target)"
done
say "building the unchanged tree"
cmake --build --preset dev --target $(printf '%s\n' $targets | sort -u) >"$work/build.log" 2>&1 || {
  tail -n 30 "$work/build.log"; fail "the unchanged tree does not build"; }

# ctest takes only so long an expression: twenty tests at a time.
run_unchanged() {
  ctest --preset dev -R "${tests#|}" --no-tests=error >"$work/test.log" 2>&1 || {
    tail -n 30 "$work/test.log"; fail "a named test fails without any mutation"; }
  tests=
  waiting=0
}
tests=
waiting=0
for patch in "$@"; do
  tests="$tests|$(head_line "$patch" test)"
  waiting=$((waiting + 1))
  [ "$waiting" -lt 20 ] || run_unchanged
done
[ "$waiting" -eq 0 ] || run_unchanged

caught=0
missed=0
for patch in "$@"; do
  name=$(basename "$patch" .patch)
  patch -p1 -s --dry-run <"$patch" >"$work/$name.log" 2>&1 || {
    cat "$work/$name.log"; fail "$name: the patch does not apply any more"; }
  patch -p1 -s <"$patch"
  if ! cmake --build --preset dev --target $(head_line "$patch" target) >>"$work/$name.log" 2>&1; then
    verdict="does not compile"
  elif ctest --preset dev -R "$(head_line "$patch" test)" --no-tests=error >>"$work/$name.log" 2>&1; then
    verdict="the test still passes"
  else
    verdict=caught
  fi
  patch -p1 -s -R <"$patch"
  if [ "$verdict" = caught ]; then
    caught=$((caught + 1)); say "caught   $name: $(head_line "$patch" what)"
  else
    missed=$((missed + 1)); say "MISSED   $name ($verdict; log: build/mutations/$name.log)"
  fi
done
say "mutations: $caught caught, $missed missed"
[ "$missed" -eq 0 ]
