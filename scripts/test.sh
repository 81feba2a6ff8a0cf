#!/bin/sh
# Set-up, a build with AddressSanitizer and UndefinedBehaviorSanitizer, and every test.
# usage: scripts/test.sh [ctest options, for example -R secagg]
# DEMUR_VECTORS names the folder of the outside suites (docs/testing.md).
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/lib.sh"
cd "$root"
mkdir -p build

"$root/scripts/setup.sh"
step "build (asan-ubsan)" build_preset asan-ubsan
UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export UBSAN_OPTIONS
outside="the outside vectors were configured"
[ -n "${DEMUR_VECTORS:-}" ] || outside="the outside suites (published vectors) are not configured:
set DEMUR_VECTORS to run them (docs/testing.md)"
rc=0
ctest --preset asan-ubsan --progress --no-tests=error "$@" || rc=$?
say "$outside"
exit "$rc"
