#!/bin/sh
# "Privacy code has at least as many lines of tests as of code", part by part; exit 1 where it has not.
#
# A line is a line of a .cc or .h file, comments and blanks included, on both sides.
# Code of a part: everything under privacy/PART.
# Tests of a part, each file once and under one part:
#   unit         all of tests/unit/PART
#   vectors      its programs in tests/vectors
#   statistical  its programs in tests/statistical
#   fuzz         the targets in tests/fuzz whose subject is the part, and what only they include
#   support      files of tests/support that drive the part itself, and the tests of those files
# Not counted: tests of parts that use the part (client, coordinator, simulations), corpora,
# vectors, mutation patches.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/lib.sh"
cd "$root"
[ $# -eq 0 ] || fail "usage: scripts/privacy_lines.sh"

sources_in() { find "$1" -type f \( -name '*.cc' -o -name '*.h' \) | sort; }

# What belongs to a part beside its unit tests.
others_of() {
  case "$1" in
    crypto) say tests/vectors/wycheproof_test.cc tests/fuzz/certificate_fuzz.cc \
      tests/fuzz/operator_files_fuzz.cc ;;
    dp) say tests/vectors/dp_vectors_test.cc tests/statistical/dp_test.cc tests/fuzz/ledger_fuzz.cc \
      tests/fuzz/device_account_fuzz.cc tests/support/csv_table.h tests/support/dp_fixtures.h ;;
    secagg) say tests/fuzz/secagg_client_step_fuzz.cc tests/fuzz/secagg_server_step_fuzz.cc \
      tests/fuzz/secagg_fuzz_world.h tests/support/secagg_session.h tests/support/share_oracle.h \
      tests/integration/share_oracle_test.cc tests/vectors/secagg_transcript.h \
      tests/vectors/secagg_vectors_test.cc ;;
    seeded) ;;
    *) fail "privacy/$1 is new: say in scripts/privacy_lines.sh which tests are its own" ;;
  esac
}
lines_of() { if [ $# -eq 0 ]; then echo 0; else cat "$@" | wc -l; fi; }

all_tests=
short=0
printf '%-10s %8s %8s %8s\n' part code tests ratio
for folder in privacy/*/; do
  part=$(basename "$folder")
  others=$(others_of "$part")
  tests="$(sources_in "tests/unit/$part") $others"
  code=$(lines_of $(sources_in "privacy/$part"))
  test_lines=$(lines_of $tests)
  verdict=
  if [ "$test_lines" -lt "$code" ]; then
    verdict='  fewer tests than code'
    short=1
  fi
  printf '%-10s %8d %8d %8s%s\n' "$part" "$code" "$test_lines" \
    "$(awk -v t="$test_lines" -v c="$code" 'BEGIN { printf "%.2f", t / c }')" "$verdict"
  all_tests="$all_tests $tests"
done
twice=$(printf '%s\n' $all_tests | sort | uniq -d)
[ -z "$twice" ] || fail "counted for two parts: $twice"
exit "$short"
