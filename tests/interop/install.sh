#!/bin/sh
# Installs the pinned Synapse of the interop suite, and the SDK of its bots, into a virtual
# environment below the target directory, once. Without Python or a package index it says what is
# left out and ends well, so that the plain test command works everywhere; with
# COMITY_INTEROP=require it fails instead.
set -u

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
venv=${COMITY_INTEROP_VENV:-${CARGO_TARGET_DIR:-$root/target}/interop-venv}
requirements=$here/requirements.txt
# Written last, so that an interrupted installation is never mistaken for a complete one.
installed=$venv/installed-requirements.txt

leave_out() {
    echo "interop: left out, because $1"
    [ "${COMITY_INTEROP:-}" = require ] && exit 1
    exit 0
}

find_python() {
    for python in "${PYTHON:-python3}" python3.14 python3.13 python3.12 python3.11 python3.10; do
        if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then
            echo "$python"
            return
        fi
    done
}

if cmp -s "$requirements" "$installed"; then
    echo "interop: the pinned Synapse is already in $venv"
    exit 0
fi

python=$(find_python)
[ -n "$python" ] || leave_out "there is no Python 3.10 or newer"
"$python" -m venv --clear "$venv" || leave_out "$python cannot make a virtual environment"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
    --only-binary :all: --requirement "$requirements" ||
    leave_out "Synapse could not be installed (is a package index within reach?)"
"$venv/bin/python" -c 'import synapse.app.homeserver, nio.crypto, vodozemac' ||
    leave_out "the installed Synapse, or its bots' SDK, cannot be imported"
cp "$requirements" "$installed"
echo "interop: installed $(grep -i '^matrix-synapse==' "$requirements") into $venv"
