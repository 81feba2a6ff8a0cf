#!/bin/sh
# fault_points.sh CRASH_TEST SOURCES: the points at which the crash tests kill are the FaultPoint
# calls of the sources, all of them and no others.
set -eu
crash_test=$1
cd "$2"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

grep -rhE --include='*.cc' --include='*.h' '(^|[^A-Za-z_])FaultPoint\(' client coordinator common simulations |
  grep -vE '^ *//|void FaultPoint\(' >"$work/calls"
# FaultPoint("name"), or FaultPoint("prefix" + ...) for a point per message type.
sed -nE 's/.*FaultPoint\("([a-z0-9_.]+)"\).*/\1/p' "$work/calls" | sort -u >"$work/names"
sed -nE 's/.*FaultPoint\("([a-z0-9_.]+)" *\+.*/\1/p' "$work/calls" | sort -u >"$work/prefixes"
understood=$(grep -cE 'FaultPoint\("[a-z0-9_.]+"( *\+.*)?\)' "$work/calls")
[ "$understood" -eq "$(wc -l <"$work/calls")" ] ||
  { echo "a FaultPoint call of another form: teach tests/integration/fault_points.sh"; cat "$work/calls"; exit 1; }

# A purge has no round: its points are enumerated in process, by the store's own tests.
purge_test=tests/unit/client/event_store_purge_test.cc
grep -oE '"purge\.[a-z_]+"' "$purge_test" | tr -d '"' | sort -u >"$work/purge"
"$crash_test" --points | cat - "$work/purge" | sort -u >"$work/tested"

# Every tested name that a prefix makes stands for its prefix.
while read -r prefix; do
  grep -q "^$prefix" "$work/tested" || { echo "no test kills at $prefix..."; exit 1; }
  grep -v "^$prefix" "$work/tested" >"$work/rest" || true
  mv "$work/rest" "$work/tested"
done <"$work/prefixes"
diff "$work/names" "$work/tested" ||
  { echo "< a point without a crash test, > a crash test without a point (tests/integration/crash_points.h)"; exit 1; }
echo "$(wc -l <"$work/names") points and $(wc -l <"$work/prefixes") families of points, all of them killed at"
