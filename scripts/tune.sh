#!/bin/sh
# Chooses settings of a federation on validation events alone: runs every combination and prints the
# validation AUC after the last round, best first. Test events are not looked at.
# usage: scripts/tune.sh SCENARIO DATA OUT KEY=VALUE[,VALUE]...
#   scripts/tune.sh simulations/scenarios/demo-dp.toml data out/tune 'scenario.seeds=[101]' \
#     task.training.hyper.server_rate=0.15,0.25 task.training.hyper.l2_item=0.01,0.02
# TUNE_MODEL: federated (default) or federated_dp. A value in brackets is one value.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/lib.sh"
[ $# -ge 4 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
scenario=$1
data=$2
out=$3
shift 3
model=${TUNE_MODEL:-federated}
sim=$root/build/release/bin/demur-sim
[ -x "$sim" ] || fail "$sim: build it first (cmake --workflow --preset release, or scripts/demo.sh)"
mkdir -p "$out"
results=$out/validation.txt
: >"$results"

# Mean over seeds of the last round's AUC.
validation_auc() {
  awk -F, -v m="$model" '$2 == m && $11 ~ /^[0-9.]+$/ { last[$1] = $11 }
    END { for (s in last) { sum += last[s]; n++ } if (n) printf "%.6f\n", sum / n }' "$1"
}

# try SETTINGS KEY=VALUES...: one run for every combination. SETTINGS are --set words without blanks.
try() {
  settings=$1
  shift
  if [ $# -eq 0 ]; then
    trial=$(($(wc -l <"$results") + 1))
    "$sim" run "$scenario" --data "$data" --out "$out/$trial" --set 'baselines.models=["random"]' \
      $settings >"$out/$trial.log" 2>&1 || { cat "$out/$trial.log"; fail "trial $trial"; }
    auc=$(validation_auc "$out/$trial/metrics.csv")
    [ -n "$auc" ] || fail "trial $trial: no validation AUC of $model; is eval.every above 0?"
    say "$auc$(printf '%s' "$settings" | sed 's/--set / /g')" | tee -a "$results"
    return 0
  fi
  key=${1%%=*}
  values=${1#*=}
  shift
  case $values in
    \[*) (try "$settings --set $key=$values" "$@") ;; # a list is one value
    *)
      for value in $(printf '%s' "$values" | tr ',' ' '); do
        (try "$settings --set $key=$value" "$@") # its variables are its own
      done
      ;;
  esac
}
try "" "$@"
say "-- best first, of $(wc -l <"$results")"
sort -r "$results"
