#!/bin/sh
# ThreadSanitizer on the tests that have threads: connections, devices, the coordinator's engine,
# the simulator's workers. Of the crash enumeration one case of each kind.
# usage: scripts/tsan.sh
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/lib.sh"
cd "$root"
mkdir -p build
build_preset tsan demur_integration_net_test demur_integration_authority_test \
  demur_integration_client_test demur_integration_coordinator_server_test \
  demur_integration_wire_federation_test demur_integration_crash_test demur_unit_simulations_test
ctest --preset tsan --no-tests=error -R '^(integration\.(net|authority|client|coordinator_server|wire_federation)|unit\.simulations)\.|^integration\.crash\..*(after_commit.2|client.before_m9.1)'
