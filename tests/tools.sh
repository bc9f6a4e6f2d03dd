#!/bin/bash
# tests/tools.sh GROUP...   install what building and testing need and this machine lacks
#   build  Debian packaging tools
#   rpm    RPM packaging tools
#   roots  what makes whole systems to install packages into
#   run    what the package depends on, and the real cluster, hypervisor and guest parts that the tests drive
#   remote Pacemaker Remote's daemon, in build/: its package conflicts with pacemaker, which is on this machine
#   venv   .venv with the test tools, on top of the distribution's Python and its libvirt binding
#
# Starts from git, make and python3 on Debian 12. What is there already costs a fraction of a second. No daemon is
# started by this; on a machine with systemd the packages do enable theirs for the next boot, as they always do.
set -euo pipefail
cd "$(dirname "$0")/.."

build=(debhelper dh-python dpkg-dev fakeroot lintian man-db)
rpm=(rpm rpmlint)
roots=(mmdebstrap debian-archive-keyring)
run=(
    pacemaker-cli-utils python3-libvirt python3-lxml python3-requests python3-keystoneauth1
    corosync pacemaker pcs resource-agents libxml2-utils iproute2
    libvirt-daemon libvirt-daemon-system libvirt-daemon-driver-qemu libvirt-clients qemu-system-x86 qemu-utils
    # the test guest: kernel, agent, tools; and a module of ours that stops its CPU
    linux-image-cloud-amd64 qemu-guest-agent busybox-static cpio zstd kmod gcc libc6-dev
    logrotate procps strace iputils-ping
    # metrics: the library that the package recommends, and who scrapes it or reads its file
    python3-prometheus-client prometheus prometheus-node-exporter acl
)
venv=(python3-venv)

POLICY=/usr/sbin/policy-rc.d
MARK="# temporary, by tests/tools.sh of masakari-qga"

forbid_daemons() {
    allow_daemons       # what a killed run left
    if [ -e $POLICY ] || [ -L $POLICY ]; then mv $POLICY $POLICY.before-masakari-qga; fi
    printf '#!/bin/sh\n%s\nexit 101\n' "$MARK" > $POLICY
    chmod 755 $POLICY
}

allow_daemons() {
    if grep -qsxF "$MARK" $POLICY; then rm $POLICY; fi
    if [ -e $POLICY.before-masakari-qga ] || [ -L $POLICY.before-masakari-qga ]; then
        mv $POLICY.before-masakari-qga $POLICY
    fi
}

packages() {
    local log=build/apt.log missing=() name
    for name; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ]; then
        echo "missing packages: be root, or run: apt-get install --no-install-recommends ${missing[*]}" >&2
        return 1
    fi
    echo "installing ${missing[*]} (log: $log)"
    mkdir -p build
    # A signal to this script alone must not bring the daemons back while apt goes on: with a trap, bash waits for it.
    trap allow_daemons EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    forbid_daemons
    export DEBIAN_FRONTEND=noninteractive APT_LISTCHANGES_FRONTEND=none NEEDRESTART_SUSPEND=1 LC_ALL=C.UTF-8
    if ! { apt-get update && apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=300 \
            -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "${missing[@]}"; } > $log 2>&1 </dev/null
    then
        tail -n 40 $log >&2
        return 1
    fi
    allow_daemons
}

environment() {
    local wanted
    wanted=$(/usr/bin/python3 --version; cat tests/requirements.txt)
    if [ "$(cat .venv/installed 2>/dev/null)" = "$wanted" ] && .venv/bin/python -c ''; then return 0; fi
    if [ -L .venv ]; then   # --clear would empty what it leads to, under whoever else works with that
        echo "$0: .venv is a link to $(readlink .venv), and not as tests/requirements.txt wants it: make it anew there" >&2
        exit 2
    fi
    echo "making .venv"
    /usr/bin/python3 -I -m venv --clear --system-site-packages .venv
    .venv/bin/python -m pip install --quiet --no-input --disable-pip-version-check -r tests/requirements.txt
    printf '%s\n' "$wanted" > .venv/installed
}

remote() {
    local version place=build/pacemaker-remote
    version=$(dpkg-query -W -f '${Version}' pacemaker)
    if [ "$(cat $place/version 2>/dev/null)" = "$version" ]; then return 0; fi
    rm -rf $place && mkdir -p $place
    (cd $place && apt-get -qq -o APT::Sandbox::User=root download "pacemaker-remote=$version")
    dpkg-deb --extract $place/pacemaker-remote_*.deb $place
    printf '%s\n' "$version" > $place/version
}

[ $# -gt 0 ] || { sed -n '2,/^$/s/^# \{0,1\}//p' "$0"; exit 2; }
wanted=()
for group; do
    case $group in
        build) wanted+=("${build[@]}") ;;
        rpm) wanted+=("${rpm[@]}") ;;
        roots) wanted+=("${roots[@]}") ;;
        run) wanted+=("${run[@]}") ;;
        venv) wanted+=("${venv[@]}") ;;
        remote) ;;
        *) echo "$0: no group $group: build, run, venv or remote" >&2; exit 2 ;;
    esac
done
packages "${wanted[@]}"
[[ " $* " != *" venv "* ]] || environment
[[ " $* " != *" remote "* ]] || remote
