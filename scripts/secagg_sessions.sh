#!/bin/sh
# Random secure aggregation sessions at the share of dropouts that their plans allow for, members leaving
# at random phases: every one must end with a sum that is exact.
# usage: scripts/secagg_sessions.sh [SESSIONS [FIRST_SEED]]   (1000 1; needs the release build of demur-sim)
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/lib.sh"
sessions=${1:-1000} seed=${2:-1}
sim=$root/build/release/bin/demur-sim
[ -x "$sim" ] || fail "no $sim: cmake --build --preset release --target demur-sim"

# profile, clients, bits, dropout, corrupt
good=0 asked=0
while read -r profile clients bits dropout corrupt; do
  repeat=$(((sessions + 7) / 8))
  [ "$clients" -le 200 ] || repeat=$(((repeat + 9) / 10))  # a session of an expander takes ten times as long
  asked=$((asked + repeat))
  out=$("$sim" secagg --clients "$clients" --dim 101 --bits "$bits" --dropout "$dropout" --corrupt "$corrupt" \
    --profile "$profile" --leave-at any --seed "$seed" --repeat "$repeat" --json) ||
    say "$profile, $clients clients, dropout $dropout, corrupt $corrupt: exit $?"
  good=$((good + $(printf '%s\n' "$out" | grep -c '"ok":true,"sum_exact":true' || true)))
done <<'GRID'
semi-honest 20 8 0.2 0.05
semi-honest 24 18 0.1 0.1
semi-honest 31 32 0.3 0.05
semi-honest 48 13 0.05 0.2
malicious 20 18 0.3 0.1
malicious 31 32 0.3 0.05
malicious 48 8 0.05 0.2
malicious 205 13 0.05 0.05
GRID
say "$good of $asked sessions with an exact sum"
# 2^-20 of them may fail by design: one in a thousand would be a fault.
[ "$good" -eq "$asked" ] || fail "sessions that gave no sum, or a wrong one"
