#!/bin/sh
# Makes a virtual environment with Python 3.11 or newer, whatever this machine offers: the standard
# venv, else virtualenv, uv, or (as root on Debian) the package that is missing.
#
#     deploy/venv.sh FOLDER [CHECK]
#
# With CHECK, a program, only a Python is taken on which that ends with status 0.
set -eu
folder=$1
check=${2:-}

fail() {
    echo "posthouse: $*" >&2
    exit 1
}

suits() {
    command -v "$1" >/dev/null 2>&1 &&
        "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null &&
        { [ -z "$check" ] || "$1" "$check"; }
}

for python in "${PYTHON:-python3}" /usr/bin/python3 python3.13 python3.12 python3.11 ""; do
    if [ -n "$python" ] && suits "$python"; then break; fi
done
[ -n "$python" ] || [ -z "$check" ] || fail "no Python 3.11, 3.12 or 3.13 here satisfies $check"
[ -n "$python" ] || fail "Python 3.11, 3.12 or 3.13 is needed; name one by: make PYTHON=/path/to/python"

works() {
    [ -x "$folder/bin/python" ] && "$folder/bin/python" -m pip --version >/dev/null 2>&1
}

by() {
    rm -rf "$folder"
    "$@" >/dev/null 2>&1 && works
}

echo "==> virtual environment with $("$python" --version)"
by "$python" -m venv "$folder" && exit
by virtualenv --python "$python" "$folder" && exit
by uv venv --seed --python "$python" "$folder" && exit
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "==> apt-get install python3-venv (this Python cannot make virtual environments)"
    apt-get update -qq && apt-get install -qq -y python3-venv >/dev/null
    by "$python" -m venv "$folder" && exit
fi
rm -rf "$folder"
fail "$python cannot make a virtual environment; on Debian: apt-get install python3-venv"
