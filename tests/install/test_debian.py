"""The Debian package in fresh systems: what it brings along, what reads it, and what is left when it goes."""
from __future__ import annotations

import io
import re

import pytest
from lxml import etree

from tests.harness import root

AGENT = "/usr/lib/ocf/resource.d/masakari/qga"
CONFIG = "/etc/masakari-qga/masakari-qga.conf"
NEEDED = {"pacemaker-cli-utils", "python3-keystoneauth1", "python3-libvirt", "python3-requests"}
UNWANTED = {"libvirt-daemon", "qemu-system-x86", "nova-common", "python3-pip"}
AUTOPKGTEST = root.HERE / "packaging/deb/tests"
# Names whose change says nothing of us: caches and logs of the tools that install and remove.
OTHERS = re.compile(r"/(var/(lib/dpkg|log|cache|lib/apt)|tmp|etc/\.pwd\.lock|etc/(passwd|group|g?shadow)-)(/|$)")


def packages(system: root.Root) -> set[str]:
    listed = system.run("dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\\n").stdout
    return {line.split()[1] for line in listed.splitlines() if line.startswith("installed ")}


def left_behind(before: dict[str, str], after: dict[str, str]) -> dict[str, tuple[object, object]]:
    """Paths that are new, gone, or of another mode or owner."""
    paths = {path for path in before.keys() | after.keys() if not OTHERS.match(path)}
    return {path: (before.get(path), after.get(path)) for path in paths if before.get(path) != after.get(path)}


def accounts(system: root.Root) -> list[str]:
    return [(system.path / "etc" / name).read_text() for name in ("passwd", "group")]


def test_apt_brings_along_what_it_needs_and_nothing_that_a_controller_has_no_use_for(fresh, deb):
    fresh.apt("install", *fresh.put(deb))
    found = packages(fresh)
    assert NEEDED | {"masakari-qga"} <= found
    assert not found & UNWANTED
    assert fresh.run("dpkg", "--verify", "masakari-qga").stdout == ""
    # pcs reads this on a controller; and the helper says there what it could not do.
    assert fresh.run(AGENT, "meta-data").stdout.startswith("<?xml")
    checked = fresh.run("masakari-qga", "check", check=False)
    assert checked.returncode != 0
    assert "libvirt at qemu:///system" in checked.stdout


def test_on_a_remote_node_it_leaves_pacemaker_remote_in_place(suite, deb):
    """Debian's command line tools want one of the two, and the two conflict."""
    system = root.clean(suite)
    system.apt("install", "pacemaker-remote")
    system.apt("install", *system.put(deb))
    assert {"masakari-qga", "pacemaker-remote"} <= packages(system)
    assert not packages(system) & {"pacemaker", "corosync"}


def test_its_files_are_roots_and_what_is_secret_is_not_for_others(installed):
    modes = installed.files()
    own = installed.run("dpkg", "--listfiles", "masakari-qga").stdout.split("\n")
    secret = {
        CONFIG: "-rw-r----- root:root",
        "/var/lib/masakari-qga": "drwx------ root:root",
        "/var/log/masakari-qga": "drwxr-x--- root:masakari-qga",
    }
    for path in filter(None, own):
        if path in modes:
            assert modes[path] in (secret.get(path) or ("drwxr-xr-x root:root", "-rw-r--r-- root:root",
                                                        "-rwxr-xr-x root:root")), path
    programs = [path for path in own if modes.get(path, "").startswith("-rwx") and "runtime.d" not in path]
    assert sorted(programs) == [AGENT, "/usr/sbin/masakari-qga"]


@pytest.mark.parametrize("script", re.search(r"^Tests: (.*)", (AUTOPKGTEST / "control").read_text(), re.M)[1].split())
def test_its_own_test_passes(installed, script):
    system = installed.above()
    system.run(*system.put(AUTOPKGTEST / script))


def test_ocf_tester_finds_the_agent_in_order(installed):
    system = installed.above()
    ran = system.run("ocf-tester", "-v", "-n", "qga-test", AGENT, OCF_ROOT="/usr/lib/ocf")
    assert "passed all tests" in ran.stdout
    assert "skipping" not in ran.stdout, "xmllint is missing"


@pytest.fixture
def metadata(installed):
    shown = installed.run("crm_resource", "--show-metadata", "ocf:masakari:qga").stdout
    return etree.fromstring(shown.encode())


def schema(installed, pattern: str) -> etree.RelaxNG:
    found = sorted(installed.path.glob(pattern))
    if not found:
        pytest.skip(f"{installed.suite} has no {pattern}")
    return etree.RelaxNG(etree.parse(str(found[-1])))


def test_the_meta_data_keeps_to_the_schema_that_pacemaker_brings(installed, metadata):
    """Pacemaker 2.1 of Debian 12 leaves its copy out of the package."""
    schema(installed, "usr/share/pacemaker/api/ocf-ra-1.1.rng").assertValid(metadata)


def test_the_meta_data_keeps_to_the_schema_that_pcs_brings(installed, metadata):
    schema(installed, "usr/**/ocf-1.1.rng").assertValid(metadata)


def test_all_that_resource_agents_schema_objects_to_is_words_of_ocf_1_1(installed, metadata):
    """Their schema has OCF 1.0 only. Its words have no reload-agent, which spares a restart for each changed value."""
    objecting = schema(installed, "usr/share/resource-agents/metadata.rng")
    assert not objecting.validate(metadata)
    for parameter in metadata.iterfind("parameters/parameter"):
        for word in ("unique-group", "reloadable"):
            parameter.attrib.pop(word, None)
    actions = metadata.find("actions")
    actions.remove(actions.find("action[@name='reload-agent']"))
    metadata.find("version").text = "1.0"
    objecting.assertValid(metadata)


def test_pcs_puts_it_into_a_cib_that_pacemaker_finds_valid(installed):
    system = installed.above()
    system.run("sh", "-c", "cibadmin --empty > /tmp/cib.xml")
    system.run("pcs", "-f", "/tmp/cib.xml", "property", "set", "stonith-enabled=false")
    made = system.run("pcs", "-f", "/tmp/cib.xml", "resource", "create", "qga-monitor", "ocf:masakari:qga",
                      "sensitivity=high", "meta", "migration-threshold=3", "failure-timeout=120s", "clone")
    assert made.stderr == ""
    verified = system.run("crm_verify", "--verbose", "--xml-file", "/tmp/cib.xml", check=False)
    assert "error" not in (verified.stdout + verified.stderr).lower()
    cib = etree.parse(io.BytesIO((system.path / "tmp/cib.xml").read_bytes()))
    operations = {op.get("name"): op.get("timeout") for op in cib.iterfind(".//primitive/operations/op")}
    assert operations == {"start": "60s", "stop": "60s", "monitor": "20s", "reload-agent": "20s"}


def test_pcs_says_at_creation_what_is_wrong_with_a_value(installed):
    system = installed.above()
    system.run("sh", "-c", "cibadmin --empty > /tmp/cib.xml")
    ran = system.run("pcs", "-f", "/tmp/cib.xml", "resource", "create", "q", "ocf:masakari:qga", "interval=1",
                     "--agent-validation", check=False)
    assert ran.returncode != 0
    assert "parameter interval = '1': out of range; give 2 to 300 s" in ran.stdout + ran.stderr


def test_man_shows_all_three_pages(installed):
    for section, page in (("5", "masakari-qga.conf"), ("7", "ocf_masakari_qga"), ("8", "masakari-qga")):
        shown = installed.run("man", section, page, MANPAGER="cat", MANWIDTH="100")
        assert shown.stdout.startswith(page), page
        assert shown.stderr == "", page


def test_the_helpers_user_is_in_the_groups_that_it_needs_and_cannot_log_in(installed):
    assert set(installed.run("id", "--name", "--groups", "masakari-qga").stdout.split()) == {
        "masakari-qga", "libvirt", "haclient"}
    assert installed.run("getent", "passwd", "masakari-qga").stdout.strip().endswith(":/nonexistent:/usr/sbin/nologin")


def test_libvirt_that_comes_later_lets_the_helper_in_too_and_keeps_its_group(suite, deb):
    system = root.clean(suite)
    system.apt("install", *system.put(deb))
    system.apt("install", "libvirt-daemon-system", "libvirt-daemon-driver-qemu")
    assert {"libvirt", "haclient"} <= set(system.run("id", "--name", "--groups", "masakari-qga").stdout.split())
    system.apt("purge", "masakari-qga")
    assert system.run("getent", "group", "libvirt").stdout
    system.apt("purge", "libvirt-daemon*")
    system.apt("install", *system.put(deb))
    system.apt("purge", "masakari-qga")
    assert not system.run("getent", "group", "libvirt", check=False).stdout


def test_logrotate_takes_the_log(installed):
    system = installed.above()
    log = system.path / "var/log/masakari-qga/helper.log"
    log.write_text("a line\n")
    log.chmod(0o600)
    system.run("chown", "masakari-qga:masakari-qga", "/var/log/masakari-qga/helper.log")
    before = log.stat()
    system.run("logrotate", "--force", "/etc/logrotate.d/masakari-qga")
    after = log.stat()
    assert after.st_ino != before.st_ino
    assert (after.st_size, after.st_mode, after.st_uid) == (0, before.st_mode, before.st_uid)
    assert log.with_name("helper.log.1").read_text() == "a line\n"


def test_installed_run_and_purged_it_leaves_nothing(bare, deb):
    system = bare.above()
    before, people = system.files(), accounts(system)
    system.run("dpkg", "--install", *system.put(deb))
    system.run(AGENT, "start", OCF_ROOT="/usr/lib/ocf", OCF_RESOURCE_INSTANCE="qga")
    for process in ("heartbeat ", "heartbeat/evidence/reader.py "):
        system.run("pgrep", "--euid", "masakari-qga", "--full", f"/usr/lib/masakari-qga/{process}")
    assert (system.path / "var/lib/masakari-qga/ledger.sqlite").exists()
    system.run(AGENT, "stop", OCF_ROOT="/usr/lib/ocf", OCF_RESOURCE_INSTANCE="qga")
    # Whoever has ended stays a zombie here: there is no init that would reap it.
    alive = system.run("pgrep", "--euid", "masakari-qga", "--runstates", "D,R,S,T", "-a", check=False)
    assert (alive.returncode, alive.stdout) == (1, "")
    evidence = system.path / "var/lib/masakari-qga/evidence/7"
    evidence.mkdir(0o700, parents=True)
    (evidence / "console.log").touch()
    system.run("dpkg", "--remove", "masakari-qga")
    # The ledger with its evidence, and the configuration with its password, are for a package that comes back.
    assert (system.path / "var/lib/masakari-qga/ledger.sqlite").exists()
    assert (evidence / "console.log").exists()
    assert (system.path / CONFIG.lstrip("/")).exists()
    system.run("dpkg", "--purge", "masakari-qga")
    assert left_behind(before, system.files()) == {}
    assert accounts(system) == people
    assert not (system.path / "run/masakari-qga").exists()


def test_while_the_helper_runs_it_is_not_removed_and_afterwards_it_is(installed):
    """Pacemaker could not stop the resource without the agent, and would fence the node."""
    system = installed.above()
    by_hand = {"OCF_ROOT": "/usr/lib/ocf", "OCF_RESOURCE_INSTANCE": "qga"}
    system.run(AGENT, "start", **by_hand)
    for refused in (("dpkg", "--remove"), ("dpkg", "--purge"), ("apt-get", "-y", "purge")):
        ran = system.run(*refused, "masakari-qga", check=False)
        assert ran.returncode != 0
        assert "not removed, since its helper runs on this node" in ran.stdout + ran.stderr
        assert f"{AGENT} stop" in ran.stdout + ran.stderr
    assert "masakari-qga" in packages(system)
    assert system.run("dpkg", "--verify", "masakari-qga").stdout == ""
    system.run(AGENT, "monitor", **by_hand)
    system.run(AGENT, "stop", **by_hand)
    system.run("apt-get", "-y", "purge", "masakari-qga")
    assert "masakari-qga" not in packages(system)


def test_an_edited_configuration_outlives_an_upgrade(bare, deb, older_deb):
    system = bare.above()
    system.run("dpkg", "--install", *system.put(older_deb))
    config = system.path / CONFIG.lstrip("/")
    with config.open("a") as file:
        file.write("\n[masakari]\npassword = secret\n")
    edited = config.read_text()
    system.run("dpkg", "--install", *system.put(deb))
    assert config.read_text() == edited
    assert config.stat().st_mode & 0o7777 == 0o640
    assert not list(config.parent.glob("*.dpkg-*"))

