# For the `run` of a client in Python: `. ../lib/python.sh; python_environment [REQUIREMENTS…]` makes a virtual environment of the
# pinned requirements (default: requirements.txt beside `run`) and sets $python and $here.
here="$(cd "$(dirname "$0")" && pwd)"
export PYTHONPATH="$here/../lib${PYTHONPATH:+:$PYTHONPATH}" PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1

python_environment() {
  [ $# -gt 0 ] || set -- "$here/requirements.txt"
  local key environment
  # One environment for equal requirements, whoever asks; the interpreter is part of the key.
  key="$({ python3 --version; cat "$@"; } | sha256sum | cut -c1-16)"
  environment="$CONFORMANCE_CACHE/python-$key"
  python="$environment/bin/python"
  (
    # Two clients may want the same one at the same time.
    flock 9
    [ -f "$environment/complete" ] && exit 0
    rm -rf "$environment"
    python3 -m venv "$environment"
    local arguments=()
    for file in "$@"; do arguments+=(-r "$file"); done
    "$python" -m pip install --quiet "${arguments[@]}"
    touch "$environment/complete"
  ) 9>"$CONFORMANCE_CACHE/python-$key.lock" >&2
}
