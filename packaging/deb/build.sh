#!/bin/bash
# Builds the package from the tracked files as they are now, committed or not, and leaves it in build/.
# The version stands in heartbeat/__init__.py only: the changelog is made here.
set -euo pipefail
cd "$(dirname "$0")/../.."

version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' heartbeat/__init__.py)
[ -n "$version" ] || { echo "heartbeat/__init__.py: no line __version__ = \"...\"" >&2; exit 1; }
maintainer=$(sed -n 's/^Maintainer: //p' packaging/deb/control)
tree=build/masakari-qga-$version
log=build/deb.log

rm -rf build/masakari-qga[-_]*
mkdir -p "$tree"
# A file that is deleted but not yet committed is not there to be copied.
git ls-files -z | while IFS= read -r -d '' path; do [ ! -e "$path" ] || printf '%s\0' "$path"; done |
    tar --create --null --files-from=- | tar --extract --directory "$tree"
mv "$tree/packaging/deb" "$tree/debian"
rm "$tree/debian/build.sh"
# Dated by the revision, so that one revision makes one package, whenever it is built.
cat > "$tree/debian/changelog" <<END
masakari-qga ($version) unstable; urgency=medium

  * Built from revision $(git describe --always --dirty).

 -- $maintainer  $(git log -1 --format=%cD)
END

# -d: build-essential is a compiler, and there is nothing to compile. tests/tools.sh looks after what is needed.
if ! (cd "$tree" && LC_ALL=C.UTF-8 dpkg-buildpackage --unsigned-source --unsigned-changes --build=all -d) > $log 2>&1; then
    tail -n 40 $log >&2
    exit 1
fi
rm -rf "$tree"
lintian --allow-root --fail-on error,warning --tag-display-limit 0 build/masakari-qga_*.changes
ls build/masakari-qga_*.deb
