"""A cluster of three nodes and a fourth that Pacemaker Remote makes part of it: four machines in the cell."""
from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from xml.etree import ElementTree

from tests.harness.cluster import CIB
from tests.harness.helper import ini
from tests.harness.member import REMOTE, Member
from tests.harness.node import RESOURCE
from tests.harness.wait import until

FULL, FOURTH = ("n1", "n2", "n3"), "r1"
NET = "10.77.0."
RECONNECT = "3"     # s between two attempts to reach the remote node
COROSYNC = """\
totem {{
  version: 2
  cluster_name: quartet
  transport: knet
  token: 1000
}}
quorum {{
  provider: corosync_votequorum
}}
logging {{
  to_logfile: yes
  logfile: /var/log/corosync/corosync.log
  to_syslog: no
}}
nodelist {{
{nodes}}}
"""
NODE = """\
  node {{
    ring0_addr: {address}
    name: {name}
    nodeid: {number}
  }}
"""


class Quartet:
    """Use as a context manager; every process ends with it. sections: of the configuration file, beside the log.

    libvirt of the cell is that of n1; the others have none.
    """

    def __init__(self, **sections: Mapping[str, object]) -> None:
        self.members = {name: Member(name, f"{NET}{number}", hypervisor=name == "n1")
                        for number, name in enumerate((*FULL, FOURTH), 1)}
        self._sections = {"log": {"to": "/var/log/masakari-qga.log", "level": "debug"},
                          "report": {"backends": "attributes"}, **sections}

    def __enter__(self) -> Quartet:
        assert REMOTE.exists(), f"{REMOTE} is missing: run tests/tools.sh remote"
        _ip("link", "add", "bridge", "type", "bridge")
        _ip("link", "set", "bridge", "up")
        for member in self:
            self._wire(member)
            self._install(member)
            member.power_on()
        for name in FULL:
            self.start(name)
        until(lambda: self.online() == set(FULL), "three nodes to be online", 90)
        self.start(FOURTH)
        self["n1"].pcs("resource", "create", FOURTH, "ocf:pacemaker:remote", f"server={self[FOURTH].address}",
                       f"reconnect_interval={RECONNECT}", "op", "monitor", "interval=2s", "timeout=10s", "--force")
        until(lambda: self.online() == {*FULL, FOURTH}, "the remote node to be online", 90)
        return self

    def __exit__(self, *_: object) -> None:
        for member in self:
            member.power_off()
            subprocess.run(["ip", "netns", "del", member.name], check=True)
        _ip("link", "del", "bridge")

    def __iter__(self) -> Iterator[Member]:
        return iter(self.members.values())

    def __getitem__(self, name: str) -> Member:
        return self.members[name]

    def start(self, name: str) -> None:
        """Starts the cluster's daemons of a node; returns at once."""
        member = self[name]
        if name == FOURTH:
            member.spawn(str(REMOTE))
        else:
            if not member.processes("corosync"):
                member.spawn("corosync", "-f")
                until(lambda: member.run("corosync-cmapctl", "-q").returncode == 0, f"corosync of {name} to answer")
            member.spawn("pacemakerd", "-f")

    def cut(self, name: str) -> None:
        """Takes the node's network cable out."""
        _ip("link", "set", f"to-{name}", "down")

    def mend(self, name: str) -> None:
        _ip("link", "set", f"to-{name}", "up")

    def online(self, at: str = "n1") -> set[str]:
        """The nodes that are online, as one of them sees it."""
        return {node.get("name", "") for node in self._seen(at).iterfind("nodes/node[@online='true']")}

    def attributes(self, at: str = "n1") -> dict[str, dict[str, str]]:
        """By node, its attributes of ours, as one of the nodes shows them."""
        return {node.get("name", ""): {it.get("name", ""): it.get("value", "") for it in node
                                       if it.get("name", "").startswith("qga-")}
                for node in self._seen(at).iterfind("node_attributes/node")}

    def states(self, at: str = "n1") -> dict[str, str]:
        """qga-state by node, of those that have it."""
        return {name: said["qga-state"] for name, said in self.attributes(at).items() if "qga-state" in said}

    def started(self, at: str = "n1") -> list[str]:
        """The nodes on which an instance of the resource is started, in order."""
        found = self._seen(at).iterfind(f"resources/clone/resource[@id='{RESOURCE}'][@role='Started']/node")
        return sorted(node.get("name", "") for node in found)

    def failures(self, at: str = "n1") -> list[dict[str, str]]:
        return [dict(failure.attrib) for failure in self._seen(at).iterfind("failures/failure")
                if failure.get("op_key", "").startswith(RESOURCE)]

    def operations(self, name: str, at: str = "n1") -> list[tuple[str, str]]:
        """What was done with the resource on this node: task and exit code."""
        shown = ElementTree.fromstring(self[at].run("crm_mon", "-1", "-o", "--output-as=xml").stdout)
        path = f"node_history/node[@name='{name}']/resource_history[@id='{RESOURCE}']/operation_history"
        return [(done.get("task", ""), done.get("rc", "")) for done in shown.iterfind(path)]

    def _seen(self, at: str) -> ElementTree.Element:
        def look() -> list[ElementTree.Element]:
            ran = self[at].run("crm_mon", "-1", "-A", "--output-as=xml")
            return [ElementTree.fromstring(ran.stdout)] if ran.returncode == 0 else []
        return until(look, f"crm_mon of {at} to answer")[0]

    @staticmethod
    def _wire(member: Member) -> None:
        _ip("netns", "add", member.name)
        _ip("link", "add", f"to-{member.name}", "type", "veth", "peer", "name", "eth0", "netns", member.name)
        _ip("link", "set", f"to-{member.name}", "master", "bridge", "up")
        _ip("-n", member.name, "addr", "add", f"{member.address}/24", "dev", "eth0")
        _ip("-n", member.name, "link", "set", "eth0", "up")

    def _install(self, member: Member) -> None:
        member.install()
        nodes = "".join(NODE.format(name=name, address=self[name].address, number=number)
                        for number, name in enumerate(FULL, 1))
        (member.folder / "etc-corosync/corosync.conf").write_text(COROSYNC.format(nodes=nodes))
        key = member.folder / "etc-pacemaker/authkey"
        key.write_bytes(b"of this cell alone\n" * 200)
        shutil.chown(key, group="haclient")
        key.chmod(0o640)
        config = member.folder / "etc-masakari-qga/masakari-qga.conf"
        config.write_text(ini(self._sections))
        config.chmod(0o640)
        if member.name in FULL:
            cib = member.folder / "pacemaker/cib/cib.xml"
            cib.write_text(CIB.replace('value="500ms"', 'value="2s"'))
            shutil.chown(cib, "hacluster", "haclient")
            cib.chmod(0o600)


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
