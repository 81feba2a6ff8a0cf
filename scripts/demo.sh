#!/bin/sh
# Set-up, release build, then
#   (a) an identity authority, a coordinator and 200 devices, every one a process of its own, over
#       TLS on the loopback: 15 rounds of secure aggregation, one device in twenty leaving each
#       round half-way, the coordinator killed with -9 and started again once;
#   (b) 20,000 simulated devices, with and without differential privacy, and one closing table.
# usage: scripts/demo.sh [OUT]      default: out/demo
# DEMUR_DEMO_PORT: coordinator at this port, enrolment and admin page at the next two.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/lib.sh"
cd "$root"
mkdir -p build
out=${1:-out/demo}
port=${DEMUR_DEMO_PORT:-47443}
bin=$root/build/release/bin
devices=200
kill_at=6 # committed rounds

"$root/scripts/setup.sh"
step "build (release)" build_preset release demur-ca demur-coordinator demur-client demur-sim
demo_start=$(date +%s)

# Stores and keys of an earlier demo are of another authority: start anew.
rm -rf "$out/federation"
mkdir -p "$out/federation/logs"
fed=$out/federation

pids=
stop_all() { [ -z "$pids" ] || kill $pids 2>/dev/null || true; }
trap stop_all EXIT INT TERM

# wait_for FILE WHAT LOG: until a program has written its port file.
wait_for() {
  tries=0
  until [ -s "$1" ]; do
    tries=$((tries + 1))
    [ "$tries" -le 100 ] || { cat "$3"; fail "$2 did not start; is port $port or one of the next two taken? DEMUR_DEMO_PORT names another"; }
    sleep 0.1
  done
}

serve_coordinator() {
  "$bin/demur-coordinator" serve --dir "$fed/coordinator" --listen "127.0.0.1:$port" \
    --admin "127.0.0.1:$((port + 2))" --port-file "$fed/port" --table --log-level warning \
    2>>"$fed/logs/coordinator.log" &
  coordinator=$!
  pids="$pids $coordinator"
}

committed() {
  rounds=$("$bin/demur-coordinator" status --dir "$fed/coordinator" | sed -n 's/^rounds \([0-9]*\) committed.*/\1/p')
  [ -n "$rounds" ] || fail "the coordinator's store cannot be read"
  say "$rounds"
}

say "== (a) $devices devices, a coordinator and an authority, each a process of its own"
"$bin/demur-sim" export simulations/scenarios/demo-devices.toml --out "$fed"
"$bin/demur-ca" init --dir "$fed/authority" >"$fed/logs/setup.log"
"$bin/demur-coordinator" init --dir "$fed/coordinator" --name coordinator.demo.internal \
  --task "$fed/task.toml" >>"$fed/logs/setup.log"
"$bin/demur-ca" certify --dir "$fed/authority" --request "$fed/coordinator/server.request" \
  --out "$fed/coordinator/server.pem" --address "127.0.0.1:$port" >>"$fed/logs/setup.log"
cp "$fed/authority/ca.pem" "$fed/coordinator/ca.pem"
"$bin/demur-ca" token --dir "$fed/authority" --devices "$devices" \
  --enrol-address "127.0.0.1:$((port + 1))" --out "$fed/token" >>"$fed/logs/setup.log"
"$bin/demur-ca" serve --dir "$fed/authority" --listen "127.0.0.1:$((port + 1))" \
  --port-file "$fed/enrol-port" --log-level warning 2>"$fed/logs/authority.log" &
authority=$!
pids="$pids $authority"
wait_for "$fed/enrol-port" "the authority" "$fed/logs/authority.log"
say "the coordinator's page while it runs: http://127.0.0.1:$((port + 2))/"
serve_coordinator
wait_for "$fed/port" "the coordinator" "$fed/logs/coordinator.log"

device_pids=
i=1
while [ "$i" -le "$devices" ]; do
  "$bin/demur-client" run --config "$fed/client.toml" --first "$i" --devices 1 --io-threads 1 \
    --workers 1 --log-level error >"$fed/logs/device-$i.out" 2>"$fed/logs/device-$i.log" &
  device_pids="$device_pids $!"
  i=$((i + 1))
done
pids="$pids $device_pids"

while [ "$(committed)" -lt "$kill_at" ]; do
  kill -0 "$coordinator" 2>/dev/null || { cat "$fed/logs/coordinator.log"; fail "the coordinator ended early"; }
  sleep 0.1
done
kill -9 "$coordinator"
wait "$coordinator" 2>/dev/null || true
say "-- coordinator killed with -9 in the middle of a round; $(committed) rounds are on the disk; starting it again"
rm -f "$fed/port"
serve_coordinator
wait "$coordinator" || { cat "$fed/logs/coordinator.log"; fail "the coordinator failed"; }
failed=0
for pid in $device_pids; do wait "$pid" || failed=$((failed + 1)); done
[ "$failed" -eq 0 ] || fail "$failed devices ended with an error: $fed/logs/device-*.log"
kill "$authority" && wait "$authority" || true
pids=
"$bin/demur-coordinator" status --dir "$fed/coordinator"
cat "$fed"/logs/device-*.out | awk '
  /^metrics/ {
    for (i = 2; i <= NF; ++i) { split($i, pair, "="); value[pair[1]] = pair[2] }
    if (value["auc_devices"] > 0) { auc += value["auc_mean"]; ++measured }
    left += value["left"]; ++devices
  }
  END {
    printf "%d devices, %d scripted departures; AUC on their own held-out events, measured by each and sent nowhere: %.4f (mean of %d)\n", devices, left, auc / measured, measured
  }'
say "== (a) done in $(($(date +%s) - demo_start)) s"

say "== (b) 20,000 simulated devices, with and without differential privacy"
"$bin/demur-sim" run simulations/scenarios/demo-dp.toml --out "$out"
say "== (a) and (b) together: $(($(date +%s) - demo_start)) s after the build"
