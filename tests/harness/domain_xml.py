"""Domain XML of a test guest: what Nova writes, cut down, plus a control line and decoys."""
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from tests.harness import image

CHANNELS = "/var/lib/libvirt/qemu"
CMDLINE = ("console=ttyS0 quiet nokaslr mitigations=off edd=off no_timer_check nowatchdog tsc=nowatchdog "
           "rcupdate.rcu_normal=1 random.trust_cpu=on")
PROJECT = "1f0a" * 8
TEMPLATE = """\
<domain type='qemu'>
  <name>{name}</name>
  <uuid>{uuid}</uuid>
  <metadata>
    <nova:instance xmlns:nova='http://openstack.org/xmlns/libvirt/nova/1.1'>
      <nova:package version='26.2.2'/>
      <nova:name>vm{number}</nova:name>
      <nova:creationTime>2026-01-01 00:00:00</nova:creationTime>
      <nova:flavor name='{flavor}'>
        <nova:memory>96</nova:memory><nova:disk>0</nova:disk><nova:swap>0</nova:swap>
        <nova:ephemeral>0</nova:ephemeral><nova:vcpus>1</nova:vcpus>{specs}
      </nova:flavor>{properties}
      <nova:owner>
        <nova:user uuid='{project}'>admin</nova:user><nova:project uuid='{project}'>admin</nova:project>
      </nova:owner>
    </nova:instance>
  </metadata>
  <memory unit='MiB'>{memory}</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>{kernel}</kernel><initrd>{initrd}</initrd><cmdline>{cmdline}</cmdline>
  </os>
  <features><acpi/><tcg><tb-cache unit='MiB'>16</tb-cache></tcg></features>
  <clock offset='utc'><timer name='hpet' present='yes'/></clock>
  <on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>{on_crash}</on_crash>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <controller type='usb' model='none'/>
    <serial type='pty'><log file='{console}' append='off'/><target port='0'/></serial>
    <serial type='unix'><source mode='bind' path='{control}'/><target port='1'/></serial>
    {decoy}
    {agent}
    {balloon}
    {extra}
  </devices>
</domain>
"""
DECOY = """\
<channel type='unix'>
      <source mode='bind' path='{channels}/com.redhat.spice.0.{name}.sock'/>
      <target type='virtio' name='com.redhat.spice.0'/>
    </channel>"""
AGENT = """\
<channel type='unix'>
      <source mode='bind' path='{channels}/org.qemu.guest_agent.0.{name}.sock'/>
      <target type='virtio' name='org.qemu.guest_agent.0'/>
    </channel>"""


def control_socket(name: str) -> str:
    return f"{CHANNELS}/{name}.control"


def console_log(name: str) -> str:
    return f"/var/log/libvirt/{name}.console"


def render(number: int, name: str, uuid: str, *, agent: bool = True, decoy: bool = True, on_crash: str = "destroy",
           panic_device: bool = False, watchdog: str | None = None, disk: str | None = None, nic: bool = False,
           balloon_period: int = 10, append: str = "", extra: str = "", flavor: str = "m1.nano", vga: bool = False,
           console: str = "", specs: Mapping[str, str] | None = None, properties: Mapping[str, str] | None = None,
           memory: int = 96) -> str:
    """The XML of one guest, and on the host what it refers to.

    agent           has the channel of the guest agent (the guest needs it to boot up: without, there is no shell)
    decoy           has a channel of another program's before that one
    on_crash        destroy, preserve, restart; takes effect with panic_device only
    watchdog        action of an i6300esb: pause, reset, poweroff, none
    disk            a virtio disk: the path of a raw image, made with 16 MiB if it is not there
    nic             a virtio network card on a tap device
    balloon_period  seconds between two balloon statistics, Nova's mem_stats_period_seconds; 0 is none
    append, extra   more kernel command line; more devices, as XML
    vga             a screen, with the kernel's messages on it
    console         path of its console's log; {uuid} stands for the guest's
    flavor          its name; specs: its extra specs; properties: of the image. Nova 32 writes the latter two
    memory          MiB
    """
    devices = [extra]
    if panic_device:
        devices.append("<panic model='isa'/>")
    if vga:
        devices.append("<video><model type='vga'/></video>")
        append = f"console=tty0 {append}"
    log = console.format(uuid=uuid) or console_log(name)
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    if watchdog:
        devices.append(f"<watchdog model='i6300esb' action='{watchdog}'/>")
    if nic:
        devices.append("<interface type='ethernet'><model type='virtio'/><rom enabled='no'/></interface>")
    if disk:
        if not Path(disk).exists():
            with open(disk, "wb") as file:
                file.truncate(16 << 20)
        devices.append("<disk type='file' device='disk'>"
                       "<driver name='qemu' type='raw' cache='none' error_policy='enospace'/>"
                       f"<source file='{disk}'/><target dev='vda' bus='virtio'/></disk>")
    built, paths = image.build(), {"channels": CHANNELS, "name": name}
    period = f"<stats period='{balloon_period}'/>" if balloon_period else ""
    return TEMPLATE.format(
        flavor=flavor, specs=_entries("extraSpecs", "extraSpec", specs),
        properties=f"<nova:image uuid='{uuid}'>{_entries('properties', 'property', properties)}</nova:image>",
        number=number, name=name, uuid=uuid, project=PROJECT, memory=memory, kernel=built.kernel, initrd=built.initrd,
        cmdline=f"{CMDLINE} {append}".strip(), on_crash=on_crash, console=log,
        control=control_socket(name), decoy=DECOY.format(**paths) if decoy else "",
        agent=AGENT.format(**paths) if agent else "",
        balloon=f"<memballoon model='virtio'>{period}</memballoon>", extra="\n    ".join(filter(None, devices)))


def _entries(group: str, entry: str, pairs: Mapping[str, str] | None) -> str:
    if pairs is None:
        return ""
    each = (f"<nova:{entry} name={quoteattr(key)}>{escape(value)}</nova:{entry}>" for key, value in pairs.items())
    return f"<nova:{group}>{''.join(each)}</nova:{group}>"
