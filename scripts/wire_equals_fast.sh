#!/bin/sh
# Runs a scenario in fast and in wire mode and compares the models: the figures of the fast mode are
# those of real devices only as long as the bytes are the same.
# usage: scripts/wire_equals_fast.sh SCENARIO.toml DATA OUT [--set section.key=value]...
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/lib.sh"
[ $# -ge 3 ] || fail "usage: scripts/wire_equals_fast.sh SCENARIO.toml DATA OUT [--set ...]"
scenario=$1 data=$2 out=$3
shift 3

model_of() { sed -n 's/^ *"model_sha256": *"\([0-9a-f]*\)".*/\1/p' "$1/report.json"; }

rm -rf "$out"
for mode in fast wire; do
  "$root/build/release/bin/demur-sim" run "$scenario" --data "$data" \
    --set "scenario.mode=\"$mode\"" --set 'scenario.noise="per_device"' "$@" --out "$out/$mode"
done
fast=$(model_of "$out/fast")
wire=$(model_of "$out/wire")
[ -n "$fast" ] || fail "no model_sha256 in $out/fast/report.json"
[ "$fast" = "$wire" ] || fail "fast gives model $fast, wire gives $wire"
say "fast and wire give the same model: $fast"
