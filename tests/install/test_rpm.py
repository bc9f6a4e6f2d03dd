"""The RPM package. There is no system of EL's or Fedora's here, so it goes into Debian's, with a database of its own:
what is in it, its scripts, and its agent, run from there."""
from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from heartbeat import __version__
from tests.harness import root
from tests.install.conftest import OLDER

AGENT = "/usr/lib/ocf/resource.d/masakari/qga"
CONFIG = "/etc/masakari-qga/masakari-qga.conf"
BY_HAND = {"OCF_ROOT": "/usr/lib/ocf", "OCF_RESOURCE_INSTANCE": "qga"}
STUB = """\
Name: {name}
Version: 1
Release: 1
Summary: What {name} brings besides its files, which are there already
License: none
BuildArch: noarch
%description
%files
"""


def rpm(path: Path, *words: object, check: bool = True) -> subprocess.CompletedProcess[str]:
    """rpm of this machine, at work in a root; its scripts run inside of that."""
    command = ["unshare", "--net", "--ipc", "rpm", "--force-debian", "--root", path, "--dbpath", "/var/lib/rpm", *words]
    ran = subprocess.run(list(map(str, command)), env=root.ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True,
                         text=True)
    assert not check or ran.returncode == 0, ran.stdout + ran.stderr
    return ran


def install(system: root.Root, package: Path, way: str = "--install") -> str:
    """What it said. Dependencies are Debian's here, which rpm's database knows nothing of."""
    return rpm(system.path, way, "--nodeps", package).stdout


@pytest.fixture
def system(bare, rpm_package) -> root.Root:
    made = bare.above()
    install(made, rpm_package)
    return made


def listed(path: Path) -> dict[str, tuple[str, str, str]]:
    """Mode, owner and group of each file of the package, as its header says."""
    tags = "\\t".join(f"%{{{tag}}}" for tag in ("FILENAMES", "FILEMODES:perms", "FILEUSERNAME", "FILEGROUPNAME"))
    asked = rpm(path, "--query", "--queryformat", f"[{tags}\\n]", "masakari-qga")
    return {fields[0]: (fields[1], fields[2], fields[3])
            for fields in (line.split("\t") for line in asked.stdout.splitlines())}


def test_it_holds_what_the_debian_package_holds(system, installed):
    """Apart from what each distribution has of its own: documentation's place, licence, hooks of lintian and Python."""
    theirs = {path for path in installed.run("dpkg", "--listfiles", "masakari-qga").stdout.splitlines()
              if not path.startswith(("/usr/share/doc", "/usr/share/lintian", "/usr/share/python3"))}
    ours = {path for path in listed(system.path) if not path.startswith(("/usr/share/doc", "/usr/share/licenses"))}
    shared = {"/.", "/etc", "/etc/logrotate.d", "/usr", "/usr/lib", "/usr/sbin", "/usr/share", "/usr/share/man",
              *(f"/usr/share/man/man{section}" for section in (5, 7, 8)), "/var", "/var/lib", "/var/log"}
    assert ours == theirs - shared
    for path in ours:
        mine, other = system.path / path[1:], installed.path / path[1:]
        assert mine.stat().st_mode == other.stat().st_mode, path
        if mine.is_file() and not path.endswith(".gz"):
            assert mine.read_bytes() == other.read_bytes(), path
    assert rpm(system.path, "--verify", "--nodeps", "masakari-qga").stdout == ""


def test_what_is_secret_is_not_for_others_and_the_state_is_the_helpers(system):
    found = listed(system.path)
    assert found[CONFIG] == ("-rw-r-----", "root", "root")
    assert found["/var/lib/masakari-qga"] == ("drwx------", "masakari-qga", "masakari-qga")
    assert found["/var/log/masakari-qga"] == ("drwxr-x---", "root", "masakari-qga")
    configuration = rpm(system.path, "--query", "--configfiles", "masakari-qga").stdout.split()
    assert configuration == ["/etc/logrotate.d/masakari-qga", CONFIG]


def test_into_nothing_at_all_it_brings_every_directory_that_it_needs(tmp_path, rpm_package):
    """OCF's directories are also resource-agents', which need not be installed."""
    target = tmp_path / "empty"
    target.mkdir()
    rpm(target, "--install", "--nodeps", "--noscripts", rpm_package)
    owned = listed(target)
    for path in ("/usr/lib/ocf", "/usr/lib/ocf/resource.d", "/usr/lib/ocf/resource.d/masakari", "/usr/lib/masakari-qga",
                 "/etc/masakari-qga"):
        assert owned[path] == ("drwxr-xr-x", "root", "root"), path
    rpm(target, "--erase", "--nodeps", "--noscripts", "masakari-qga")
    left = {str(path.relative_to(target)) for path in target.rglob("*") if not path.is_dir()}
    assert not [path for path in left if not path.startswith("var/lib/rpm/")]


def test_its_agent_passes_ocf_tester(system):
    ran = system.run("ocf-tester", "-v", "-n", "qga-test", AGENT, OCF_ROOT="/usr/lib/ocf")
    assert "passed all tests" in ran.stdout
    assert system.run("masakari-qga", "--version").stdout == f"masakari-qga {__version__}\n"


@pytest.mark.parametrize("name", ["libvirt-daemon", "pacemaker-libs"])
def test_libvirt_or_pacemaker_that_comes_later_lets_the_helper_in(system, name, tmp_path):
    spec = tmp_path / f"{name}.spec"
    spec.write_text(STUB.format(name=name))
    subprocess.run(["rpmbuild", "-bb", "--nodeps", "--define", f"_topdir {tmp_path}", spec], check=True,
                   capture_output=True)
    groups = ("id", "--name", "--groups", "masakari-qga")
    assert system.run(*groups).stdout.split() == ["masakari-qga"]
    install(system, next(tmp_path.glob("RPMS/noarch/*.rpm")))
    assert set(system.run(*groups).stdout.split()) == {"masakari-qga", "libvirt", "haclient"}


def test_an_upgrade_keeps_what_was_edited_and_says_that_a_restart_is_due(bare, older_rpm_package, rpm_package):
    system = bare.above()
    install(system, older_rpm_package)
    config = system.path / CONFIG[1:]
    config.write_text("[log]\nlevel = debug\n")
    system.run("usermod", "--append", "--groups", "libvirt,haclient", "masakari-qga")
    system.run(AGENT, "start", **BY_HAND)
    said = install(system, rpm_package, "--upgrade")
    assert "the helper still runs as it was before" in said
    assert config.read_text() == "[log]\nlevel = debug\n"
    assert system.run("stat", "-c", "%U %a", "/var/lib/masakari-qga").stdout == "masakari-qga 700\n"
    assert f"helper {OLDER} is running, {__version__} is installed" in system.run(AGENT, "monitor", **BY_HAND).stderr
    system.run(AGENT, "stop", **BY_HAND)
    system.run(AGENT, "start", **BY_HAND)
    assert system.run(AGENT, "monitor", **BY_HAND).stderr == ""
    system.run(AGENT, "stop", **BY_HAND)


def test_while_the_helper_runs_it_is_not_erased_and_afterwards_all_but_the_record_is_gone(system):
    system.run(AGENT, "start", **BY_HAND)
    refused = rpm(system.path, "--erase", "masakari-qga", check=False)
    assert refused.returncode != 0
    assert "not removed, since its helper runs on this node" in refused.stderr
    assert system.run(AGENT, "monitor", **BY_HAND).stderr == ""
    system.run(AGENT, "stop", **BY_HAND)
    before = {path for path in listed(system.path) if path not in ("/usr/lib/ocf", "/usr/lib/ocf/resource.d")}
    rpm(system.path, "--erase", "masakari-qga")
    left = {path for path in before if (system.path / path[1:]).exists()}
    assert left == {"/var/lib/masakari-qga"}
    recorded = [path.name for path in (system.path / "var/lib/masakari-qga").iterdir()]
    assert "ledger.sqlite" in recorded
    assert all(name.startswith("ledger.sqlite") for name in recorded), recorded
