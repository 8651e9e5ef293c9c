#!/usr/bin/env bash
# A real HTCondor pool of one machine, for the tests: Debian 12 on x86-64, as root, no systemd.
#
#   htcondor.sh PREFIX POOL install     Debian 13's condor with its libraries, unpacked into PREFIX and nowhere else
#   htcondor.sh PREFIX POOL start       a personal pool whose files are in POOL, on 127.0.0.1
#   htcondor.sh PREFIX POOL run CMD...  a command as a user of the pool
#   htcondor.sh PREFIX POOL stop
#
# The schedd takes no jobs of root, so the pool and all that talks to it live in a user namespace, where root is
# an ordinary user. Packages of Debian 13 must never be installed on Debian 12; unpacked into a folder of their
# own, with their own C library, they run.
set -euo pipefail
prefix=$1 pool=$2 action=$3
shift 3
export CONDOR_CONFIG=$pool/condor_config PATH=$prefix/bin:$prefix/sbin:$PATH

as_user() {
  if [ "$(id -u)" = 0 ]; then unshare --user --map-user=1000 --map-group=1000 -- "$@"; else "$@"; fi
}

fetch() {  # the packages, from the archive of this machine, one release later
  local work=$1 archive
  mkdir -p "$work"/{lists/partial,cache/archives/partial,root}
  : > "$work/status"
  archive=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Codename: bookworm' | head -1)
  cat > "$work/trixie.sources" <<END
Types: deb
URIs: $archive
Suites: trixie
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
END
  local options=(-qq -o Dir::Etc::sourcelist="$work/trixie.sources" -o Dir::Etc::sourceparts=-
    -o Dir::State::lists="$work/lists" -o Dir::State::status="$work/status" -o Dir::Cache="$work/cache"
    -o APT::Sandbox::User=root)
  apt-get "${options[@]}" update
  apt-get "${options[@]}" -y --no-install-recommends --download-only install condor > /dev/null
  local package
  for package in "$work"/cache/archives/*.deb; do dpkg-deb -x "$package" "$work/root"; done
}

install_condor() {
  [ -x "$prefix/sbin/condor_master" ] && return
  command -v patchelf > /dev/null || { apt-get -qq update; apt-get -y -qq install --no-install-recommends patchelf > /dev/null; }
  local work usr libraries
  work=$(mktemp -d)
  fetch "$work"
  usr=$work/root/usr libraries=$work/root/usr/lib/x86_64-linux-gnu
  rm -rf "$prefix.partial"
  mkdir -p "$prefix.partial"/{bin,sbin,libexec,lib,share}
  cp -a "$usr"/bin/condor_* "$prefix.partial/bin/"
  cp -a "$usr"/sbin/condor_* "$prefix.partial/sbin/"
  cp -a "$usr/libexec/condor" "$prefix.partial/libexec/"
  rm -rf "$prefix.partial/libexec/condor/singularity_test_sandbox"
  cp -a "$usr/share/condor" "$prefix.partial/share/" 2> /dev/null || true
  cp -a "$usr"/lib/lib{condor_utils,classad,chirp,getpwnam}* "$prefix.partial/lib/"
  cp -L "$libraries/ld-linux-x86-64.so.2" "$prefix.partial/lib/"
  local name programs
  # Loaded at run time, so no program's list of libraries names them.
  for name in libSciTokens.so.0 libscitokens.so.0 libvomsapi.so.1 libmunge.so.2 libgssapi_krb5.so.2 libkrb5.so.3 libresolv.so.2; do
    if [ -e "$libraries/$name" ]; then cp -L "$libraries/$name" "$prefix.partial/lib/"; fi
  done
  mapfile -t programs < <(find "$prefix.partial"/{bin,sbin,libexec} -type f -exec sh -c 'head -c4 "$1" | grep -q ELF' _ {} \; -print)
  local round
  for round in 1 2; do  # libraries of programs, then of libraries
    copy_libraries "$libraries" "${programs[@]}" "$prefix.partial"/lib/*.so*
  done
  relocate "${programs[@]}"
  mv "$prefix.partial" "$prefix"
  rm -rf "$work"
}

copy_libraries() {
  local libraries=$1 file library
  shift
  for file in "$@"; do
    "$libraries/ld-linux-x86-64.so.2" --library-path "$prefix.partial/lib:$libraries" --list "$file" 2> /dev/null |
      awk -v folder="$libraries" '$2 == "=>" && index($3, folder) == 1 {print $3}' || true
  done | sort -u | while read -r library; do
    [ -e "$prefix.partial/lib/$(basename "$library")" ] || cp -L "$library" "$prefix.partial/lib/"
  done
}

relocate() {
  local file
  for file in "$@"; do
    if patchelf --print-interpreter "$file" > /dev/null 2>&1; then
      patchelf --set-interpreter "$prefix/lib/ld-linux-x86-64.so.2" --force-rpath --set-rpath "$prefix/lib" "$file"
    else
      patchelf --force-rpath --set-rpath "$prefix/lib" "$file" 2> /dev/null || true
    fi
  done
}

start() {
  mkdir -p "$pool"/{log,spool,execute,run,lock}
  cat > "$pool/condor_config" <<END
RELEASE_DIR = $prefix
LOCAL_DIR = $pool
BIN = \$(RELEASE_DIR)/bin
SBIN = \$(RELEASE_DIR)/sbin
LIB = \$(RELEASE_DIR)/lib
LIBEXEC = \$(RELEASE_DIR)/libexec/condor
SHARE = \$(RELEASE_DIR)/share/condor
ETC = \$(LOCAL_DIR)
LOG = \$(LOCAL_DIR)/log
SPOOL = \$(LOCAL_DIR)/spool
EXECUTE = \$(LOCAL_DIR)/execute
RUN = \$(LOCAL_DIR)/run
LOCK = \$(LOCAL_DIR)/lock
LOCAL_CONFIG_FILE =
REQUIRE_LOCAL_CONFIG_FILE = False
CONDOR_HOST = 127.0.0.1
NETWORK_INTERFACE = 127.0.0.1
BIND_ALL_INTERFACES = False
COLLECTOR_HOST = 127.0.0.1:0
COLLECTOR_ADDRESS_FILE = \$(LOG)/.collector_address
use ROLE: Personal
use POLICY: Hold_If_Memory_Exceeded
NUM_CPUS = ${CPUS:-4}
MEMORY = ${MEMORY:-8000}
SLOT_TYPE_1 = 100%
SLOT_TYPE_1_PARTITIONABLE = True
NUM_SLOTS_TYPE_1 = 1
SEC_DEFAULT_AUTHENTICATION_METHODS = FS, CLAIMTOBE
ALLOW_READ = *
ALLOW_WRITE = *
ALLOW_DAEMON = *
ALLOW_ADMINISTRATOR = *
ALLOW_NEGOTIATOR = *
# Everything at once: a test should not wait for a pool that saves the strength of a schedd.
UPDATE_INTERVAL = 2
POLLING_INTERVAL = 2
NEGOTIATOR_INTERVAL = 2
NEGOTIATOR_MIN_INTERVAL = 1
NEGOTIATOR_CYCLE_DELAY = 1
SCHEDD_INTERVAL = 2
SCHEDD_MIN_INTERVAL = 1
STARTER_UPDATE_INTERVAL = 2
STARTER_INITIAL_UPDATE_INTERVAL = 1
PERIODIC_EXPR_INTERVAL = 2
MAX_PERIODIC_EXPR_INTERVAL = 4
DAGMAN_USER_LOG_SCAN_INTERVAL = 1
RUNBENCHMARKS = False
DAGMAN_USE_STRICT = 0
SINGULARITY = /usr/bin/false
DOCKER = /usr/bin/false
END
  as_user condor_master
  local trial
  for trial in $(seq 120); do
    if [ -n "$(as_user condor_status -af Name 2> /dev/null)" ] && [ -n "$(as_user condor_status -schedd -af Name 2> /dev/null)" ]; then
      return
    fi
    sleep 0.25
  done
  echo "the pool did not come up: see $pool/log" >&2
  exit 1
}

case $action in
  install) install_condor ;;
  start) start ;;
  run) as_user "$@" ;;
  stop) as_user condor_off -fast -master ;;
  *) echo "usage: htcondor.sh PREFIX POOL install|start|run|stop" >&2; exit 2 ;;
esac
