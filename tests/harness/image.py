"""The test guest: a kernel and an initrd with busybox, the real qemu-ga and what it takes to break it.

Built once into a cache directory and again only when an input changes. Several builders may run at once.
"""
from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SOURCES = Path(__file__).with_name("guest")
# Loading order: busybox insmod resolves no dependencies. `<panic model='isa'/>` is driven by pvpanic-mmio.
MODULES = ("virtio/virtio_ring", "virtio/virtio", "virtio/virtio_pci_modern_dev", "virtio/virtio_pci_legacy_dev",
           "virtio/virtio_pci", "virtio/virtio_balloon", "char/virtio_console", "block/virtio_blk",
           "misc/pvpanic/pvpanic", "misc/pvpanic/pvpanic-pci", "misc/pvpanic/pvpanic-mmio",
           "../net/core/failover", "net/net_failover", "net/virtio_net")
PROGRAMS = ("/usr/sbin/qemu-ga", "/usr/bin/chrt")
SCRIPTS = ("agent", "application", "bark", "checkup", "evil", "freeze-hook")


class Image(NamedTuple):
    kernel: Path
    initrd: Path


def cache() -> Path:
    """Where built things are kept between runs: $MASAKARI_QGA_TEST_CACHE, or /var/cache/masakari-qga-tests."""
    return Path(os.environ.get("MASAKARI_QGA_TEST_CACHE") or "/var/cache/masakari-qga-tests")


@contextlib.contextmanager
def locked() -> Iterator[Path]:
    """The cache directory, to this process alone."""
    cache().mkdir(parents=True, exist_ok=True)
    with open(cache() / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield cache()


def build() -> Image:
    """The image, built if it is not there, or that in $MASAKARI_QGA_TEST_GUEST. A build needs the package archive once,
    for the kernel headers: it cannot be done inside a cell, which has no network.

    Raises FileNotFoundError naming what is not installed, RuntimeError with the words of a tool that failed.
    """
    made = os.environ.get("MASAKARI_QGA_TEST_GUEST")
    if made:
        return Image(Path(made, "vmlinuz"), Path(made, "initrd"))
    kernel = _kernel()
    inputs = _inputs(kernel)
    digest = hashlib.sha256()
    for path in inputs:
        content = path.read_bytes()
        digest.update(b"%s %d\n" % (os.fsencode(path.name), len(content)) + content)
    home = cache() / ("guest-" + digest.hexdigest()[:16])
    image = Image(home / "vmlinuz", home / "initrd")
    if home.is_dir():
        return image
    with locked():
        if not home.is_dir():
            for stale in cache().glob("building-*"):     # of a builder that was killed: we hold the lock
                shutil.rmtree(stale)
            with tempfile.TemporaryDirectory(dir=cache(), prefix="building-") as work:
                shutil.copy(f"/boot/vmlinuz-{kernel}", work + "/vmlinuz")
                _pack(_tree(Path(work), kernel), Path(work, "initrd"))
                for leftover in ("tree", "module", "headers"):
                    shutil.rmtree(Path(work, leftover), ignore_errors=True)
                os.chmod(work, 0o755)
                os.rename(work, home)
                os.mkdir(work)      # for TemporaryDirectory to remove
    return image


def _kernel() -> str:
    """Version of the newest installed kernel that has both its image and its modules."""
    versions = [v.name for v in Path("/lib/modules").glob("*-cloud-*") if Path("/boot/vmlinuz-" + v.name).exists()]
    if not versions:
        raise FileNotFoundError("no guest kernel: install linux-image-cloud-amd64 (looked in /boot and /lib/modules)")
    return max(versions, key=lambda v: [int(part) for part in re.findall(r"\d+", v)])


def _inputs(kernel: str) -> list[Path]:
    drivers = Path("/lib/modules", kernel, "kernel/drivers")
    busybox = shutil.which("busybox") or "/bin/busybox"
    found = [Path(__file__), *sorted(p for p in SOURCES.iterdir() if p.is_file()), Path(f"/boot/vmlinuz-{kernel}"),
             Path(busybox), *map(Path, PROGRAMS), *(drivers / f"{module}.ko" for module in MODULES)]
    for path in found:
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing: install busybox-static, qemu-guest-agent, util-linux and "
                                    "linux-image-cloud-amd64 to build the test guest")
    return found


def _tree(work: Path, kernel: str) -> Path:
    """The guest's file tree, below `work`."""
    tree = work / "tree"
    for folder in ("bin", "lib/modules", "proc", "sys", "dev"):
        (tree / folder).mkdir(parents=True)
    busybox = shutil.which("busybox") or "/bin/busybox"
    shutil.copy(busybox, tree / "bin/busybox")
    for program in PROGRAMS:
        shutil.copy(program, tree / "bin")
        linked = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
        for library in re.findall(r"/lib\S+", linked):
            target = tree / library.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(library, target)
    for module in MODULES:
        shutil.copy(f"/lib/modules/{kernel}/kernel/drivers/{module}.ko", tree / "lib/modules")
    names = [os.path.basename(module) + ".ko" for module in MODULES]
    (tree / "lib/modules/order").write_text("\n".join(names) + "\n")
    shutil.copy(_hang(work, kernel), tree / "lib/modules")
    for script in SCRIPTS:
        shutil.copy(SOURCES / script, tree / "bin")
        (tree / "bin" / script).chmod(0o755)
    shutil.copy(SOURCES / "init", tree / "init")
    (tree / "init").chmod(0o755)
    return tree


def _hang(work: Path, kernel: str) -> Path:
    """hang.ko, compiled against the kernel's headers, which are unpacked and not installed."""
    base, series = kernel.split("-cloud-")[0], ".".join(kernel.split(".")[:2])
    headers, module = work / "headers", work / "module"
    headers.mkdir()
    module.mkdir()
    packages = [f"linux-headers-{kernel}", f"linux-headers-{base}-common", f"linux-kbuild-{series}"]
    # apt would download as its own user, who may not enter `work`
    _tool("apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", *packages, cwd=headers)
    for package in headers.glob("*.deb"):
        _tool("dpkg-deb", "-x", str(package), str(headers / "root"))
    source = headers / "root/usr/src"
    makefile = source / f"linux-headers-{kernel}/Makefile"
    makefile.write_text(re.sub(r"(?m)^include /usr/src", f"include {source}", makefile.read_text()))
    shutil.copy(SOURCES / "hang.c", module)
    (module / "Makefile").write_text("obj-m := hang.o\n")
    _tool("make", "-s", "-C", str(makefile.parent), f"M={module}", "modules")
    _tool("strip", "--strip-debug", str(module / "hang.ko"))
    return module / "hang.ko"


def _tool(*command: str, cwd: Path | None = None) -> None:
    """Raises RuntimeError with what the tool said; a tool that succeeds is not heard."""
    ran = subprocess.run(command, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if ran.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} gave {ran.returncode}: {ran.stdout.decode(errors='replace')[-2000:]}")


def _pack(tree: Path, initrd: Path) -> None:
    names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
    archive = subprocess.run(["cpio", "--quiet", "-o", "-H", "newc"], cwd=tree, input=names.encode(), check=True,
                             stdout=subprocess.PIPE).stdout
    subprocess.run(["zstd", "-19", "-q", "-o", str(initrd)], input=archive, check=True)


if __name__ == "__main__":
    print("\n".join(map(str, build())))
