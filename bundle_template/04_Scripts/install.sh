#!/bin/sh
# Run install.py with a Python 3.9 or newer of this host, else with the one in the bundle.
set -eu

# What would decide about an interpreter before install.py can look at it.
unset PYTHONPATH PYTHONHOME PYTHONSTARTUP PYTHONUSERBASE PYTHONINSPECT LD_PRELOAD LD_LIBRARY_PATH LD_AUDIT
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd -P)

fits() {
    command -v "$1" >/dev/null 2>&1 || return 1
    "$1" -I -c 'import sys; sys.exit(sys.version_info < (3, 9))' >/dev/null 2>&1
}

for python in python3 python3.13 python3.12 python3.11 python3.10 python3.9 /usr/bin/python3; do
    if fits "$python"; then
        exec "$python" -I -B "$here/install.py" "$@"
    fi
done

archive=
for candidate in "$here"/../01_Prerequisites/*.tar.gz; do
    if [ -f "$candidate" ]; then
        archive=$candidate
        break
    fi
done
if [ -z "$archive" ]; then
    echo "error: no Python 3.9 or newer on this host, and none in the bundle" >&2
    echo "오류: 이 호스트와 번들에 Python 3.9 이상이 없습니다" >&2
    exit 12
fi

# The archive is used before install.py can verify it, so its digest is compared here where a tool is at hand.
if command -v sha256sum >/dev/null 2>&1; then
    name=01_Prerequisites/$(basename -- "$archive")
    if ! (cd "$here/.." && grep -F "  $name" checksums.sha256 | sha256sum -c --status -); then
        echo "error: $name does not match checksums.sha256 / 오류: 파이썬 아카이브가 손상되었습니다" >&2
        exit 10
    fi
fi

folder=
child=
asked=
clear_up() {
    if [ -n "$folder" ]; then
        rm -rf -- "$folder"
        folder=
    fi
}
# The installer puts things back before it ends; the folder with its interpreter must not go before it. A child in the
# background ignores SIGINT, so it is asked by SIGTERM whatever came here.
pass_on() {
    asked=yes
    [ -n "$child" ] || exit 130
    kill -TERM "$child" 2>/dev/null || :
}
trap clear_up EXIT
trap pass_on HUP INT TERM

# Where it is going to be installed there is room, and programs may be run.
prefix=
previous=
for word in "$@"; do
    case $previous in --prefix) prefix=$word ;; esac
    case $word in --prefix=*) prefix=${word#--prefix=} ;; esac
    previous=$word
done
while [ -n "$prefix" ] && [ ! -d "$prefix" ]; do
    case $prefix in */*) prefix=${prefix%/*} ;; *) prefix= ;; esac
done

# Unpack where programs may be run and where there is room: /tmp is noexec, or small, on many hosts. Never beside this
# script: the bundle must not gain a file.
umask 077
python=
tried=
for place in "${TMPDIR:-/tmp}" /tmp /var/tmp "$prefix" "${HOME:-}" /opt; do
    [ -n "$place" ] && [ -d "$place" ] && [ -w "$place" ] || continue
    case "$tried " in *" $place "*) continue ;; esac
    tried="$tried $place"
    folder=$(mktemp -d "$place/ragtrace-python.XXXXXX" 2>/dev/null) || { folder=; continue; }
    printf '#!/bin/sh\nexit 0\n' >"$folder/try" && chmod 700 "$folder/try"
    if "$folder/try" 2>/dev/null && rm -f "$folder/try" && tar -xzf "$archive" -C "$folder" 2>/dev/null; then
        for candidate in "$folder"/*/bin/python3; do
            if fits "$candidate"; then
                python=$candidate
            fi
        done
        [ -z "$python" ] || break
    fi
    clear_up
done
if [ -z "$python" ]; then
    echo "error: the bundled Python does not run on this host (C library, noexec or full:$tried)" >&2
    echo "오류: 번들의 파이썬이 이 호스트에서 실행되지 않습니다 (C 라이브러리, noexec 또는 공간 부족:$tried)" >&2
    echo "  next / 다음 조치: TMPDIR=/a/folder/where/programs/may/run sh $0" >&2
    exit 12
fi
RAGTRACE_TEMPORARY_PYTHON=$folder
export RAGTRACE_TEMPORARY_PYTHON

# In the background, so that a signal reaches this shell at once; with the input that this shell has.
(exec 3<&0) 2>/dev/null || exec </dev/null
exec 3<&0
"$python" -I -B "$here/install.py" "$@" <&3 3<&- &
child=$!
exec 3<&-
status=0
while :; do
    asked=
    status=0
    wait "$child" || status=$?
    [ -n "$asked" ] || break
done
child=
exit "$status"
