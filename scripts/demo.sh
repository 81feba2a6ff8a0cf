#!/bin/sh
# Set-up, release build, then 20,000 simulated devices that learn from rejections with and without
# differential privacy. Prints a closing table and where the report is.
# usage: scripts/demo.sh [OUT]      default: out/demo
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/lib.sh"
cd "$root"
mkdir -p build
out=${1:-out/demo}

"$root/scripts/setup.sh"
step "build (release)" build_preset release demur-sim
build/release/bin/demur-sim run simulations/scenarios/demo-dp.toml --out "$out"
