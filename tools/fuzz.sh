#!/usr/bin/env bash
# Runs every fuzz test for a while: the message decoder and the SQL front end in process, SQL and messages against a live server.
#
#   tools/fuzz.sh [SECONDS]    600 where nothing is said; LAKEGATE_FUZZ_SEED plays a run again
set -euo pipefail
cd "$(dirname "$0")/.."
export LAKEGATE_FUZZ_SECONDS="${1:-600}"
export LAKEGATE_TEST_PYTHON="${LAKEGATE_TEST_PYTHON:-${XDG_CACHE_HOME:-$HOME/.cache}/lakegate/venv/bin/python}"
# One selection of packages for all: another one would build the dependencies with other features again.
cargo build --release --locked --workspace
cargo test --release --locked --workspace -- fuzz --nocapture --test-threads 2
