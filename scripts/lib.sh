# Shared by the scripts of this folder; sourced, POSIX sh.

say() { printf '%s\n' "$*"; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Milestones with their durations: step NAME COMMAND...
step() {
  step_name=$1; shift
  say "== $step_name"
  step_start=$(date +%s)
  if "$@"; then
    say "== $step_name: done in $(($(date +%s) - step_start)) s"
  else
    step_rc=$?
    say "== $step_name: FAILED (exit $step_rc) after $(($(date +%s) - step_start)) s"
    return "$step_rc"
  fi
}

# Builds TARGETS... of a preset (everything when none is named): build_preset PRESET [TARGET...]
build_preset() {
  preset=$1; shift
  cmake --preset "$preset" "-DDEMUR_VECTORS=${DEMUR_VECTORS:-}" \
    >"$root/build/configure-$preset.log" 2>&1 || { cat "$root/build/configure-$preset.log"; return 1; }
  if [ $# -gt 0 ]; then
    cmake --build --preset "$preset" --target "$@"
  else
    cmake --build --preset "$preset"
  fi
}
