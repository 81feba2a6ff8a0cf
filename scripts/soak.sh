#!/bin/sh
# The long runs that are too long for every change: ten minutes of fuzzing a target, every mutation,
# the line coverage of the privacy code, then the statistical and integration tests a hundred times,
# then the search for times that tell a secret.
# Run before a release.
# usage: scripts/soak.sh [FUZZ_SECONDS [REPEATS]]
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/lib.sh"
cd "$root"
"$root/scripts/setup.sh" --ci
"$root/scripts/fuzz.sh" "${1:-600}"
"$root/scripts/mutations.sh"
"$root/scripts/coverage.sh"
step "build (release)" build_preset release
ctest --preset release -L 'statistical|integration' --repeat "until-fail:${2:-100}" --no-tests=error
step "build (timing)" build_preset release dudect_secagg
build/release/benchmarks/dudect_secagg
