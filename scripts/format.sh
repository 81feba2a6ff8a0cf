#!/bin/sh
# Formats every C++ file of the repository; --check only says what differs.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
case "${1:-}" in
  --check) git ls-files -z --cached --others --exclude-standard '*.h' '*.cc' | xargs -0 clang-format --dry-run -Werror ;;
  '') git ls-files -z --cached --others --exclude-standard '*.h' '*.cc' | xargs -0 clang-format -i ;;
  *) echo "usage: scripts/format.sh [--check]" >&2; exit 2 ;;
esac
