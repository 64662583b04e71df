#!/bin/sh
# Make this machine able to run the isolated tests: install the missing tools, mount tracefs.
# Debian or Ubuntu, as root.  Running it again changes nothing.
set -eu
PATH=$PATH:/usr/sbin:/sbin

missing=""
need() { command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
need debootstrap debootstrap
need systemd-nspawn systemd-container
need bpftrace bpftrace
need nsenter util-linux
need setpriv util-linux
need unshare util-linux
need dpkg-deb dpkg

tracing=/sys/kernel/tracing
traced() { [ -d "$tracing/events/syscalls" ]; }

say_by_hand() {
    echo "This needs root. Run as root (루트 권한으로 실행하십시오):" >&2
    echo "    sudo sh tests/isolated/prepare.sh" >&2
    [ -z "$missing" ] || echo "which will run: apt-get update && apt-get install -y$missing" >&2
    traced || echo "and will mount: mount -t tracefs tracefs $tracing" >&2
    exit 12
}

if [ "$(id -u)" -ne 0 ]; then
    say_by_hand
fi

if [ -n "$missing" ]; then
    command -v apt-get >/dev/null 2>&1 || { echo "No apt-get here; install by hand:$missing" >&2; exit 12; }
    echo "installing:$missing"
    apt-get update -qq
    # Word splitting of the package list is meant.
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
elif ! apt-cache show libreoffice-help-ko >/dev/null 2>&1; then
    # The documents of the test are Debian packages: the index must be there to fetch them.
    apt-get update -qq
fi

traced || mount -t tracefs tracefs "$tracing"
traced || { echo "The kernel offers no syscall tracepoints below $tracing." >&2; exit 12; }
[ -r /sys/kernel/btf/vmlinux ] || { echo "The kernel has no BTF (/sys/kernel/btf/vmlinux); bpftrace needs it." >&2; exit 12; }
echo "isolated tests: this machine is ready"
