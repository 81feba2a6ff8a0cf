#!/bin/sh
# Installs the Debian packages that demur needs and that are missing, and says which.
# usage: scripts/setup.sh [--ci]      --ci: also what .ci/run needs (Clang tools, benchmarks)
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/scripts/lib.sh"

lists="$root/packages.txt"
case "${1:-}" in
  '') ;;
  --ci) lists="$lists $root/packages-ci.txt" ;;
  *) fail "unknown option '$1'; usage: scripts/setup.sh [--ci]" ;;
esac

command -v apt-get >/dev/null 2>&1 && command -v dpkg-query >/dev/null 2>&1 || fail \
  "this script installs Debian packages and finds no apt-get here. On another system install the
counterparts of packages.txt by hand (GCC >= 12, CMake >= 3.25, Cap'n Proto 0.9, Asio 1.22, OpenSSL 3),
then run: cmake --workflow --preset release"

missing=
for package in $(cat $lists); do
  state=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing="$missing $package"
done
if [ -z "$missing" ]; then
  say "setup: all packages are installed"
  exit 0
fi

as_root=
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null 2>&1 || fail "missing packages:$missing
run this as root, or ask an administrator to run: apt-get install$missing"
  as_root=sudo
fi
say "setup: installing$missing"
$as_root apt-get update -qq
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing \
  >/dev/null
say "setup: done"
