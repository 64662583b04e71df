#!/bin/sh
# Make the environment that models are converted in, and engines compared with what they stand for; print its interpreter.
# It stays in the user's cache folder; running this again changes nothing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
folder=${XDG_CACHE_HOME:-$HOME/.cache}/ragtrace/engines-venv

mkdir -p "$(dirname "$folder")"
exec 9>"$folder.lock"
# Two runs at once: the second waits and finds the first one's work. Not every system has the tool.
if command -v flock >/dev/null 2>&1; then flock 9; fi

if ! cmp -s "$here/requirements.txt" "$folder/ready.txt"; then
    echo "preparing the engines' environment in $folder" >&2
    rm -rf "$folder"
    "${PYTHON:-python3}" -m venv "$folder"
    "$folder/bin/python" -m pip install --quiet --quiet --requirement "$here/requirements.txt" >&2
    # Written last: an installation that was cut short is made again.
    cp "$here/requirements.txt" "$folder/ready.txt"
fi
echo "$folder/bin/python"
