#!/bin/bash
# packaging/deb/source.sh DIRECTORY [VERSION]   the tracked files as they are now, committed or not, for a package of
# either kind to be built from. With a VERSION they call themselves that: to try an upgrade there have to be two.
set -euo pipefail
directory=$(realpath -m "$1")
cd "$(dirname "$0")/../.."

version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' heartbeat/__init__.py)
[ -n "$version" ] || { echo "heartbeat/__init__.py: no line __version__ = \"...\"" >&2; exit 1; }
rm -rf "$directory"
mkdir -p "$directory"
# A file that is deleted but not yet committed is not there to be copied.
git ls-files -z | while IFS= read -r -d '' path; do [ ! -e "$path" ] || printf '%s\0' "$path"; done |
    tar --create --null --files-from=- | tar --extract --directory "$directory"
if [ -n "${2-}" ] && [ "$2" != "$version" ]; then
    # The agent's script carries it as well, since a monitor does not load a module of ours.
    sed -i "s/^__version__ = .*/__version__ = \"$2\"/" "$directory/heartbeat/__init__.py"
    sed -i "s/b\"${version//./\\.}\"/b\"$2\"/" "$directory/ocf/qga"
    grep -q "b\"$2\"" "$directory/ocf/qga" || { echo "ocf/qga: no b\"$version\" in it" >&2; exit 1; }
    version=$2
fi
echo "$version"
