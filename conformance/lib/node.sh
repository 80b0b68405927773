# For the `run` of a client in JavaScript: `. ../lib/node.sh; node_environment` installs the packages of package-lock.json beside `run`
# and sets $here, $modules (the folder that holds node_modules) and NODE_PATH, by which `require` finds them.
here="$(cd "$(dirname "$0")" && pwd)"

node_environment() {
  local key
  if ! command -v npm >/dev/null; then
    [ "$(id -u)" = 0 ] && apt-get install -y -qq --no-install-recommends nodejs npm >&2
  fi
  key="$({ node --version; cat "$here/package.json" "$here/package-lock.json"; } | sha256sum | cut -c1-16)"
  modules="$CONFORMANCE_CACHE/node-$key"
  (
    flock 9
    [ -f "$modules/complete" ] && exit 0
    rm -rf "$modules"
    mkdir -p "$modules"
    cp "$here/package.json" "$here/package-lock.json" "$modules"
    npm ci --prefix "$modules" --no-audit --no-fund
    # Native modules: newer npm does not run a package's own build unasked.
    for package in "$@"; do npm rebuild --prefix "$modules" "$package"; done
    touch "$modules/complete"
  ) 9>"$CONFORMANCE_CACHE/node-$key.lock" >&2
  export NODE_PATH="$modules/node_modules:$here/../lib"
}
