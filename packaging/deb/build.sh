#!/bin/bash
# packaging/deb/build.sh [DIRECTORY [VERSION]]
# Builds the package from the tracked files as they are now, committed or not, and leaves it in DIRECTORY (build/).
# The version stands in heartbeat/__init__.py only: the changelog is made here.
set -euo pipefail
cd "$(dirname "$0")/../.."

out=$(realpath -m "${1:-build}")
log=$out/deb.log
mkdir -p "$out"
rm -rf "$out"/masakari-qga[-_]*.{deb,changes,buildinfo} "$out/deb-tree"
version=$(packaging/deb/source.sh "$out/deb-tree/source" "${2-}")
tree=$out/deb-tree/masakari-qga-$version
mv "$out/deb-tree/source" "$tree"
mv "$tree/packaging/deb" "$tree/debian"
rm "$tree"/debian/{build,source}.sh
maintainer=$(sed -n 's/^Maintainer: //p' packaging/deb/control)
# Dated by the revision, so that one revision makes one package, whenever it is built.
cat > "$tree/debian/changelog" <<END
masakari-qga ($version) unstable; urgency=medium

  * Built from revision $(git describe --always --dirty).

 -- $maintainer  $(git log -1 --format=%cD)
END

# -d: build-essential is a compiler, and there is nothing to compile. tests/tools.sh looks after what is needed.
if ! (cd "$tree" && LC_ALL=C.UTF-8 dpkg-buildpackage --unsigned-source --unsigned-changes --build=all -d) > "$log" 2>&1
then
    tail -n 40 "$log" >&2
    exit 1
fi
mv "$out"/deb-tree/masakari-qga_* "$out"
rm -rf "$out/deb-tree"
lintian --allow-root --pedantic --display-info --fail-on error,warning,info,pedantic --tag-display-limit 0 \
    "$out/masakari-qga_${version}"_*.changes
echo "$out/masakari-qga_${version}_all.deb"
