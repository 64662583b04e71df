#!/bin/sh
# Run install.py with a Python 3.9 or newer of this host, else with the one in the bundle.
set -eu

here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd -P)

fits() {
    command -v "$1" >/dev/null 2>&1 || return 1
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 9))' >/dev/null 2>&1
}

for python in python3 python3.13 python3.12 python3.11 python3.10 python3.9 /usr/bin/python3; do
    if fits "$python"; then
        exec "$python" -B "$here/install.py" "$@"
    fi
done

archive=
for candidate in "$here"/../01_Prerequisites/python-*.tar.gz "$here"/../01_Prerequisites/cpython-*.tar.gz; do
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

RAGTRACE_TEMPORARY_PYTHON=$(mktemp -d "${TMPDIR:-/tmp}/ragtrace-python.XXXXXX")
export RAGTRACE_TEMPORARY_PYTHON
trap 'rm -rf -- "$RAGTRACE_TEMPORARY_PYTHON"' EXIT
trap 'exit 130' HUP INT TERM
(umask 077 && tar -xzf "$archive" -C "$RAGTRACE_TEMPORARY_PYTHON")
python=
for candidate in "$RAGTRACE_TEMPORARY_PYTHON"/*/bin/python3; do
    if fits "$candidate"; then
        python=$candidate
    fi
done
if [ -z "$python" ]; then
    echo "error: the bundled Python does not run on this host (C library, noexec \${TMPDIR}?)" >&2
    echo "오류: 번들의 파이썬이 이 호스트에서 실행되지 않습니다 (C 라이브러리, noexec TMPDIR?)" >&2
    exit 12
fi
status=0
"$python" -B "$here/install.py" "$@" || status=$?
exit "$status"
