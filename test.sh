#!/usr/bin/env bash
# Installs what the tests need, builds the server and runs all tests.
#
#   ./test.sh            everything
#   ./test.sh wire       only tests whose name contains "wire"
#
# Needs Rust, Python 3.9 or newer, and Debian's packages postgresql-15 and openssl (installed here when this is root).
# Environment: CARGO_TARGET_DIR, PG15_BIN, LAKEGATE_TEST_PYTHON (a Python that has tests/requirements.txt),
# LAKEGATE_TPC_PYTHON (one that has tests/tpc/requirements.txt), LAKEGATE_TPC_SCALE (0.1),
# LAKEGATE_FUZZ_SECONDS (20).
set -euo pipefail
cd "$(dirname "$0")"

say() { printf '\n== %s\n' "$*"; }

install_packages() {
  local missing=()
  [ -x "${PG15_BIN:-/usr/lib/postgresql/15/bin}/initdb" ] || missing+=(postgresql-15)
  command -v psql >/dev/null || missing+=(postgresql-client-15)
  command -v openssl >/dev/null || missing+=(openssl)
  python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3-venv)
  # aws-lc and SQLite are built from C.
  command -v cc >/dev/null || missing+=(build-essential)
  [ ${#missing[@]} -eq 0 ] && return
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "test.sh: please install ${missing[*]}" >&2
    exit 1
  fi
  say "installing ${missing[*]}"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
}

# A Python environment of its own with what a file asks for.
prepare_venv() {
  local venv="$1" requirements="$2"
  if ! cmp -s "$requirements" "$venv/requirements.txt"; then
    say "preparing a Python environment in $venv"
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r "$requirements"
    cp "$requirements" "$venv/requirements.txt"
  fi
}

prepare_python() {
  local cache="${XDG_CACHE_HOME:-$HOME/.cache}/lakegate"
  if [ -z "${LAKEGATE_TEST_PYTHON:-}" ]; then
    prepare_venv "$cache/venv" tests/requirements.txt
    export LAKEGATE_TEST_PYTHON="$cache/venv/bin/python"
  fi
  if [ -z "${LAKEGATE_TPC_PYTHON:-}" ]; then
    prepare_venv "$cache/tpc" tests/tpc/requirements.txt
    export LAKEGATE_TPC_PYTHON="$cache/tpc/bin/python"
  fi
}

install_packages
prepare_python

say "building the server"
# A server that an earlier run left in the shared target folder must never be the one that is tested.
# The whole workspace: selecting one package would compile the dependencies again with other features.
cargo build --release --locked --workspace --bins
target="$(cargo metadata --format-version 1 --no-deps --offline | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')"
export LAKEGATE_BIN="$target/release/lakegate"

say "running the tests"
started=$SECONDS
result=0
# The tests of one binary run side by side; more at once than this and time limits measure the machine.
export RUST_TEST_THREADS="${RUST_TEST_THREADS:-4}"
cargo test --release --locked --workspace --no-fail-fast -- "$@" 2>&1 | tee "$target/test-output.txt" || result=$?

say "summary after $((SECONDS - started)) s"
awk '/^test result:/ { passed += $4; failed += $6; skipped += $8 } END { printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped }' "$target/test-output.txt"
grep -E '^test .* \.\.\. FAILED$' "$target/test-output.txt" || true
exit "$result"
