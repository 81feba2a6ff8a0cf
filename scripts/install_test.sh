#!/bin/sh
# Installs the release build into a folder of its own, builds an application against it the way an
# app engineer would (tests/install), and runs it.
# usage: scripts/install_test.sh
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/lib.sh"
cd "$root"
prefix=$root/build/install
mkdir -p build

build_preset release demur-ca demur-coordinator demur-client demur-sim
rm -rf "$prefix" build/consumer
cmake --install build/release --prefix "$prefix" >build/install.log
cmake -S tests/install -B build/consumer -G Ninja -DCMAKE_BUILD_TYPE=Release \
  "-DCMAKE_PREFIX_PATH=$prefix" >build/consumer.log 2>&1 || { cat build/consumer.log; exit 1; }
cmake --build build/consumer
build/consumer/consumer build/consumer/store
build/consumer/consumer build/consumer/store  # opens what the first run has left
"$prefix/bin/demur-client" print-defaults >build/consumer/client.toml
