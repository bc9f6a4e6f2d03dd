"""A cluster of one node in a cell: the real corosync and Pacemaker, without fencing."""
from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

from tests.harness import cell
from tests.harness.wait import until

PATH = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
DAEMONS = ("pacemakerd", "pacemaker-based", "pacemaker-fenced", "pacemaker-execd", "pacemaker-attrd",
           "pacemaker-schedulerd", "pacemaker-controld")
COROSYNC = """\
totem {{
  version: 2
  cluster_name: cell
  transport: knet
}}
nodelist {{
  node {{
    ring0_addr: 127.0.0.1
    name: {node}
    nodeid: 1
  }}
}}
quorum {{
  provider: corosync_votequorum
}}
logging {{
  to_logfile: yes
  logfile: /var/log/corosync/corosync.log
  to_syslog: no
}}
"""
# Seeded: an empty CIB would wait for other nodes (dc-deadtime, 20 s) and start nothing for want of fencing.
CIB = """\
<cib crm_feature_set="3.16.1" validate-with="pacemaker-3.9" epoch="1" num_updates="0" admin_epoch="0">
  <configuration>
    <crm_config>
      <cluster_property_set id="cib-bootstrap-options">
        <nvpair id="fencing" name="stonith-enabled" value="false"/>
        <nvpair id="dc-deadtime" name="dc-deadtime" value="500ms"/>
      </cluster_property_set>
    </crm_config>
    <nodes/><resources/><constraints/>
  </configuration>
  <status/>
</cib>
"""


class Resource(NamedTuple):
    """One instance of a resource on this node, as crm_mon tells it."""

    id: str
    role: str
    active: bool
    failed: bool
    managed: bool


class Cluster:
    """Use as a context manager, or start and stop. The node has the cell's host name."""

    def __init__(self) -> None:
        cell.required()
        self.node = socket.gethostname()
        self._corosync: subprocess.Popen | None = None
        self._pacemakerd: subprocess.Popen | None = None
        _furnish(self.node)

    def __enter__(self) -> Cluster:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """corosync, then Pacemaker; returns when the node is online: about 2.5 s."""
        self._corosync = _spawn("corosync")
        until(lambda: _run("corosync-cmapctl", "-q").returncode == 0, "corosync to answer")
        self.start_pacemaker()

    def start_pacemaker(self) -> None:
        self._pacemakerd = _spawn("pacemakerd")
        until(self.online, f"node {self.node} to be online", 60)

    def stop(self) -> None:
        """In order, Pacemaker stopping its resources first. What does not end is killed, and that is an error."""
        for daemon in (self._pacemakerd, self._corosync):
            if daemon and daemon.poll() is None:
                daemon.terminate()
                try:
                    daemon.wait(60)
                except subprocess.TimeoutExpired:
                    self.kill_pacemaker()
                    daemon.kill()
                    daemon.wait()
                    raise

    def kill_pacemaker(self) -> None:
        """SIGKILL to all of Pacemaker at once, as the kernel would; what its resources started lives on."""
        for pid in pids(*DAEMONS):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(lambda: not pids(*DAEMONS), "Pacemaker to be gone")
        if self._pacemakerd:
            self._pacemakerd.wait()

    def online(self) -> bool:
        status = self._status()
        return status is not None and status.find(f"nodes/node[@name='{self.node}'][@online='true']") is not None \
            and status.find("summary/current_dc[@present='true']") is not None

    def attributes(self) -> dict[str, str]:
        """Transient and permanent node attributes of this node."""
        found = self._required().iterfind(f"node_attributes/node[@name='{self.node}']/attribute")
        return {attribute.get("name", ""): attribute.get("value", "") for attribute in found}

    def resources(self) -> list[Resource]:
        return [Resource(r.get("id", ""), r.get("role", ""),
                         *(r.get(flag) == "true" for flag in ("active", "failed", "managed")))
                for r in self._required().iterfind("resources//resource")]

    def resource_state(self, name: str) -> Resource | None:
        """The instance of this name, or of the clone of this name; None if there is none."""
        return next((r for r in self.resources() if r.id.partition(":")[0] == name), None)

    def failures(self) -> list[dict[str, str]]:
        """Failed actions that crm_mon lists: op_key, exitstatus, exitreason, call ..."""
        return [dict(failure.attrib) for failure in self._required().iterfind("failures/failure")]

    def pcs(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess:
        """Run pcs. With `check`, a failure raises AssertionError with what it said."""
        ran = _run("pcs", *arguments)
        assert ran.returncode == 0 or not check, f"pcs {' '.join(arguments)} gave {ran.returncode}: {ran.stdout}"
        return ran

    def wait_role(self, name: str, role: str, seconds: float = 60.0) -> None:
        until(lambda: getattr(self.resource_state(name), "role", None) == role, f"{name} to be {role}", seconds)

    @staticmethod
    def log() -> str:
        path = Path("/var/log/pacemaker/pacemaker.log")
        return path.read_text(errors="replace") if path.exists() else ""

    def _required(self) -> ElementTree.Element:
        return until(lambda: [status] if (status := self._status()) is not None else [], "crm_mon to answer")[0]

    @staticmethod
    def _status() -> ElementTree.Element | None:
        ran = _run("crm_mon", "-1", "-A", "--output-as=xml")
        return ElementTree.fromstring(ran.stdout) if ran.returncode == 0 else None


def pids(*names: str) -> list[int]:
    """Processes of the cell that run one of these programs; zombies do not count."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):      # it may end while we look
            if os.path.basename(os.readlink(path / "exe")) in names:
                found.append(int(path.name))
    return found


def _furnish(node: str) -> None:
    for folder in ("/var/log/corosync", "/var/log/pacemaker", "/run/resource-agents",
                   *(f"/var/lib/pacemaker/{name}" for name in ("cib", "pengine", "blackbox", "cores"))):
        os.makedirs(folder, exist_ok=True)
        if "pacemaker" in folder:
            shutil.chown(folder, "hacluster", "haclient")
            os.chmod(folder, 0o770)
    shutil.chown("/var/lib/pacemaker", "hacluster", "haclient")
    Path("/etc/corosync/corosync.conf").write_text(COROSYNC.format(node=node))
    cib = Path("/var/lib/pacemaker/cib/cib.xml")
    for old in cib.parent.iterdir():        # of an earlier cluster: Pacemaker prefers its backups to a file of others
        old.unlink()
    cib.write_text(CIB)
    shutil.chown(cib, "hacluster", "haclient")
    cib.chmod(0o600)


def _spawn(daemon: str) -> subprocess.Popen:
    # A clean environment, as from an init system: Pacemaker hands its own on to every agent.
    with open(f"/var/log/{daemon}.out", "ab") as out:
        return subprocess.Popen([daemon, "-f"], stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=PATH,
                                start_new_session=True, cwd="/")


def _run(*command: str) -> subprocess.CompletedProcess:
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=120, env={**PATH, "HOME": "/root"})
