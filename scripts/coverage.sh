#!/bin/sh
# Lines of privacy/crypto and privacy/secagg (sources and headers) that their own tests run: one line a
# folder, exit 1 where it is below the least. build/coverage/lines.txt names the lines that are missed.
# usage: scripts/coverage.sh [LEAST_PERCENT]      default: 95
# DEMUR_VECTORS names the folder of the outside suites (docs/testing.md); without it they do not count.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/lib.sh"
cd "$root"
mkdir -p build
least=${1:-95}
command -v gcovr >/dev/null 2>&1 || fail "gcovr is missing: scripts/setup.sh --ci"

programs="unit_crypto unit_secagg unit_authority vectors_secagg"
[ -z "${DEMUR_VECTORS:-}" ] || programs="$programs vectors_wycheproof vectors_sharing"
for name in certificate operator_files population secagg_client_step secagg_server_step secagg_shares; do
  programs="$programs fuzz_corpus_$name"
done

# No ctest: a process a program, not one a test, writes its counters once.
run_all() {
  find build/coverage -name '*.gcda' -delete
  for name in $programs; do
    program=$(find build/coverage/tests -type f -name "demur_${name}_test")
    "$program" >"build/coverage/$name.log" 2>&1 || { tail -n 30 "build/coverage/$name.log"; return 1; }
  done
}

step "build (coverage)" build_preset coverage $(for name in $programs; do say "demur_${name}_test"; done)
step "tests (coverage)" run_all
gcovr --root "$root" --filter privacy/crypto/ --filter privacy/secagg/ -j "$(nproc)" \
  --txt build/coverage/lines.txt --csv build/coverage/lines.csv build/coverage
awk -F, -v least="$least" '
  NR > 1 { split($1, path, "/"); folder = path[1] "/" path[2]; all[folder] += $2; run[folder] += $3 }
  END {
    for (folder in all) {
      percent = 100 * run[folder] / all[folder]
      low = percent < least
      if (low) bad = 1
      printf "%-16s %5d of %5d lines  %5.1f %%%s\n", folder, run[folder], all[folder], percent,
        low ? "  fewer than " least " %: build/coverage/lines.txt" : ""
      folders++
    }
    exit bad || folders != 2
  }' build/coverage/lines.csv
