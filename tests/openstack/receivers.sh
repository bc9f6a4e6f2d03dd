#!/bin/bash
# tests/openstack/receivers.sh   Mistral and Vitrage from PyPI, each in a virtual environment of its own: build/mistral,
# build/vitrage. What is there already costs nothing; 60 s and 500 MB where they are not. Needs python3-venv.
set -euo pipefail
cd "$(dirname "$0")/../.."

for name in mistral vitrage; do
    target=build/$name
    list=tests/openstack/requirements-$name.txt
    wanted=$(/usr/bin/python3 --version; cat $list)
    if [ "$(cat $target/installed 2>/dev/null)" = "$wanted" ] && $target/bin/python -c ''; then continue; fi
    echo "installing $name in $target"
    /usr/bin/python3 -I -m venv --clear $target
    # Not only wheels: simplegeneric, which Mistral's WSME wants, has none; it is one file of Python.
    $target/bin/python -m pip install --quiet --no-input --disable-pip-version-check -r $list
    printf '%s\n' "$wanted" > $target/installed
done
