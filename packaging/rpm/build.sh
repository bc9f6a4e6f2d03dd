#!/bin/bash
# packaging/rpm/build.sh [DIRECTORY [VERSION]]
# Builds the package, and its source package, from the tracked files as they are now, committed or not, and leaves them
# in DIRECTORY (build/). The version stands in heartbeat/__init__.py only.
set -euo pipefail
cd "$(dirname "$0")/../.."

out=$(realpath -m "${1:-build}")
top=$out/rpm-tree
log=$out/rpm.log
mkdir -p "$out"
rm -rf "$out"/masakari-qga-*.rpm "$top"
mkdir -p "$top/SOURCES"
version=$(packaging/deb/source.sh "$top/source" "${2-}")
mv "$top/source" "$top/masakari-qga-$version"
export SOURCE_DATE_EPOCH
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)     # one revision makes one package, whenever it is built
maintainer=$(sed -n 's/^Maintainer: //p' packaging/deb/control)
day=$(LC_ALL=C date -u -d "@$SOURCE_DATE_EPOCH" '+%a %b %d %Y')
entry="* $day $maintainer - $version-1\\n- Built from revision $(git describe --always --dirty)."
sed -e "s/@VERSION@/$version/" -e "s/@CHANGELOG@/$entry/" packaging/rpm/masakari-qga.spec.in \
    > "$top/masakari-qga-$version/masakari-qga.spec"
tar --create --gzip --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" \
    --directory "$top" --file "$top/SOURCES/masakari-qga-$version.tar.gz" "masakari-qga-$version"

# On a machine that rpm does not manage, its database knows of no package that could be required.
needs=()
rpm --query rpm > /dev/null 2>&1 || needs=(--nodeps)
if ! LC_ALL=C.UTF-8 rpmbuild -ta "${needs[@]}" --define "_topdir $top" \
        --define "use_source_date_epoch_as_buildtime 1" --define "clamp_mtime_to_source_date_epoch 1" \
        --define "_buildhost localhost" "$top/SOURCES/masakari-qga-$version.tar.gz" > "$log" 2>&1
then
    tail -n 40 "$log" >&2
    exit 1
fi
mv "$top"/RPMS/noarch/*.rpm "$top"/SRPMS/*.rpm "$out"
rm -rf "$top"
if command -v rpmlint > /dev/null; then
    rpmlint --strict --config packaging/rpm/rpmlint.toml "$out"/masakari-qga-"$version"-*.rpm
fi
ls "$out"/masakari-qga-"$version"-*.noarch.rpm
