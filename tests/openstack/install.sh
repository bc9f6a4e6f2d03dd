#!/bin/bash
# tests/openstack/install.sh   Keystone and Masakari from PyPI, in a virtual environment of their own: build/openstack
#
# Apart from .venv and from the distribution's packages, whose keystoneauth1 is the one that our helper has to work with.
# Only wheels: no compiler. What is there already costs nothing; 25 s and 240 MB where it is not. Needs python3-venv.
set -euo pipefail
cd "$(dirname "$0")/../.."

target=build/openstack
wanted=$(/usr/bin/python3 --version; cat tests/openstack/requirements.txt)
if [ "$(cat $target/installed 2>/dev/null)" = "$wanted" ] && $target/bin/python -c ''; then exit 0; fi
echo "installing Keystone and Masakari in $target"
/usr/bin/python3 -I -m venv --clear $target
$target/bin/python -m pip install --quiet --no-input --disable-pip-version-check --only-binary :all: \
    -r tests/openstack/requirements.txt
printf '%s\n' "$wanted" > $target/installed
