#!/bin/sh
# The container's first process: becomes the service (serve), asks it (healthy), or runs one of its commands.
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd -P)
umask 027
exec "$here/../../../venv/bin/python" -I -B "$here/run.py" "$@"
