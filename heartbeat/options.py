"""The options that are written by hand; heartbeat.settings adds those made from the tables of verdicts and events."""

from __future__ import annotations

from heartbeat.addressees import ADDRESSEES, BACKENDS
from heartbeat.option import Option
from heartbeat.terms import SENSITIVITIES

STATE_DIRECTORY = "/var/lib/masakari-qga"

__all__ = ("BACKENDS", "OPTIONS", "STATE_DIRECTORY")

OPTIONS: tuple[Option, ...] = (
    Option(
        "watch", "sensitivity", "choice", "medium", choices=SENSITIVITIES, reloadable=True, parameter="sensitivity",
        reason="The times of [watch] and [budget] in one word. high finds failures sooner, low bears guests and hosts"
        " that are often slow; a time that is set itself wins over this.",
    ),
    Option(
        "watch", "mode", "choice", "enforce", choices=("enforce", "observe"), reloadable=True, parameter="mode",
        reason="What happens when a guest is to be recovered. enforce reports it, observe only records that it would"
        " have been reported, for a trial.",
    ),
    Option(
        "watch", "interval", "integer", 10, unit="s", low=2, high=300, reloadable=True, parameter="interval",
        reason="Seconds between two questions to the agent of a guest that answers. Shorter finds a hang sooner and"
        " costs about 1 ms of CPU per question.",
    ),
    Option(
        "watch", "timeout", "integer", 5, unit="s", low=1, high=20, reloadable=True, parameter="timeout",
        reason="Seconds that a guest's agent may take to answer. One that is known to answer quickly gets less, but 2 s"
        " at least, for a first question. After a first silence libvirt itself waits for a sign of life: 5 s, whatever"
        " stands here, or in version 11.3 no longer than this, and at most 5 s.",
    ),
    Option(
        "watch", "silence", "integer", 15, unit="s", low=6, high=3600, reloadable=True,
        reason="Seconds of silence, in which every other witness is still too, after which a guest counts as hung. A"
        " guest whose vCPUs run all the same is judged no sooner than its balloon has missed a report (12 s under"
        " Nova).",
    ),
    Option(
        "watch", "agent_down", "integer", 60, unit="s", low=5, high=86400, reloadable=True,
        reason="Seconds that the agent's channel may be closed before this is recorded as agent-down. An agent's"
        " upgrade or a guest's reboot closes it for a while.",
    ),
    Option(
        "watch", "io_error", "integer", 60, unit="s", low=5, high=86400, reloadable=True,
        reason="Seconds that a guest may be paused by an I/O error before this is a verdict. Storage often comes back,"
        " and whoever repairs it resumes the guest.",
    ),
    Option(
        "watch", "boot", "integer", 600, unit="s", low=30, high=86400, reloadable=True,
        reason="Seconds that a guest's boot may take at most, until its agent answers. Less is learned for each guest"
        " from its own boots; this is the ceiling, for updates, checks of file systems and installers.",
    ),
    Option(
        "watch", "grace", "integer", 30, unit="s", low=0, high=3600, reloadable=True,
        reason="Seconds after a resume, a migration or a restore in which a guest's silence does not count.",
    ),
    Option(
        "watch", "resync", "integer", 60, unit="s", low=10, high=3600, reloadable=True,
        reason="Seconds between two complete readings of libvirt's list of guests, which find what a lost event"
        " missed.",
    ),
    Option(
        "watch", "guests", "choice", "all", choices=("all", "opt-in"), reloadable=True,
        reason="Who is watched: all guests of this host, or only those that opt in by their flavor's name, an extra"
        " spec or image property masakari:qga = yes, or the server's metadata (see [nova]). See docs/opt-in.rst.",
    ),
    Option(
        "watch", "flavors", "list", (), reloadable=True,
        reason="Names of flavors whose guests opt in, or patterns of them such as ha.*, separated by commas.",
    ),
    Option(
        "watch", "action", "choice", "recover", choices=("recover", "record", "ignore"), reloadable=True,
        reason="The most that any verdict causes on a guest whose flavor says nothing. A flavor's extra spec"
        " masakari:qga_action may say more, up to [verdicts] and [events], or less; an image or a server only less.",
    ),
    Option(
        "budget", "recoveries", "integer", 3, low=1, high=1000, reloadable=True,
        reason="Recoveries of one guest within the window; after them it needs a human and is only recorded. A guest"
        " that recoveries do not help gets no more of them.",
    ),
    Option(
        "budget", "window", "integer", 3600, unit="s", low=60, high=2592000, reloadable=True,
        reason="Seconds over which a guest's recoveries are counted.",
    ),
    Option(
        "budget", "in_flight", "integer", 50, low=1, high=1000, reloadable=True,
        reason="Recoveries of guests of this host that may be under way at once; the reports of further ones wait."
        " Masakari itself recovers the guests of one host one after the other.",
    ),
    Option(
        "budget", "deadline", "integer", 600, unit="s", low=10, high=86400, reloadable=True,
        reason="Seconds within which a recovery that was asked for should have come to something, from when its turn"
        " comes; then the guest counts as not recovered. One that still fails, and that Masakari has given up, is"
        " reported again, as long as recoveries are left. Masakari may take 180 s to stop a guest, 60 s to start it,"
        " and makes a second attempt; less than what it takes means a second stop.",
    ),
    Option(
        "breaker", "share", "integer", 30, unit="%", low=1, high=100, reloadable=True,
        reason="More than this part of the watched guests suspect within the window means a fault of the host, its"
        " storage or libvirt, not of the guests. Both this and the number must be exceeded.",
    ),
    Option(
        "breaker", "number", "integer", 3, low=1, high=10000, reloadable=True,
        reason="More than this many guests must be suspect as well, so that one of two is no correlated failure.",
    ),
    Option(
        "breaker", "window", "integer", 60, unit="s", low=5, high=3600, reloadable=True,
        reason="Seconds within which guests must have become suspect to count as one failure.",
    ),
    Option(
        "breaker", "action", "choice", "hold", choices=("hold", "report"), reloadable=True,
        reason="What such a failure does to the verdicts: hold keeps them back until fewer guests are suspect, report"
        " lets them pass, up to the budget. Node attribute qga-state says so in both cases.",
    ),
    Option(
        "breaker", "health", "boolean", False, reloadable=True,
        reason="Set node attribute #health-qga to red while the breaker is open. Where the cluster property"
        " node-health-strategy is set, Pacemaker then moves every resource away from this node. Set the meta attribute"
        " allow-unhealthy-nodes=true on this monitor's clone, or it is moved too: its stop clears the attribute, so all"
        " comes back until the next time. Guests that are no resources stay. In other clusters it has no effect.",
    ),
    Option(
        "fitness", "limit", "integer", 4, low=0, high=7, reloadable=True,
        reason="Points of trouble, 0 to 7, of this host and of the helper itself (late rounds, slow libvirt, memory or"
        " disk pressure) above which no guest is judged. Each point stretches all times of silence by one more.",
    ),
    Option(
        "nova", "enabled", "boolean", False, reloadable=True,
        reason="Ask Nova once in each interval what it expects of this host, for metadata that opt in, for guests that"
        " it is working on, and for those that are missing here or should not be. docs/nova.rst has it all.",
    ),
    Option(
        "nova", "interval", "integer", 60, unit="s", low=30, high=240, reloadable=True,
        reason="Seconds between two rounds, each a bit earlier or later, so that a thousand hosts do not ask at once.",
    ),
    Option(
        "nova", "dwell", "integer", 300, unit="s", low=120, high=86400, reloadable=True,
        reason="Seconds that Nova and libvirt must disagree about a guest, both answering all along, before it counts.",
    ),
    Option(
        "nova", "metadata", "string", "HA_Enabled", reloadable=True,
        reason="The server's metadata key that opts in with a value such as True. The same as Masakari's"
        " [instance_failure] ha_enabled_instance_metadata_key.",
    ),
    Option(
        "nova", "endpoint", "string", "", reloadable=True,
        reason="Nova's address, if the catalogue's (compute) is not to be used. The user, Keystone and cafile are those"
        " of [masakari]; he needs the role admin.",
    ),
    Option("nova", "region", "string", "", reloadable=True, reason="Nova's region. Empty: that of [masakari]."),
    Option(
        "nova", "interface", "choice", "same", choices=("same", "public", "internal", "admin"), reloadable=True,
        reason="Which of Nova's endpoints in the catalogue is used; same: as for Masakari.",
    ),
    Option(
        "nova", "timeout", "integer", 15, unit="s", low=1, high=60, reloadable=True,
        reason="Seconds that one request may take.",
    ),
    Option(
        "libvirt", "connection_uri", "string", "qemu:///system",
        reason="libvirt's address. It must be of this host: witnesses are read from /proc.",
    ),
    *ADDRESSEES,
    Option(
        "attributes", "dampening", "integer", 1, unit="s", low=0, high=60, reloadable=True,
        reason="Seconds that the cluster collects changes of our node attributes before it writes them, so that a"
        " burst is one write.",
    ),
    Option(
        "attributes", "reassert", "integer", 60, unit="s", low=10, high=3600, reloadable=True,
        reason="Seconds between two repetitions of our node attributes, which a restarted cluster forgets.",
    ),
    Option(
        "evidence", "screenshot", "choice", "on", choices=("on", "off", "opt-in"), reloadable=True,
        reason="Whether a picture of a guest's screen is kept when an incident is opened. opt-in: only of guests whose"
        " flavor, image or server says masakari:qga_screenshot = yes. Who says no has none taken, whatever stands here."
        " A screen may show somebody's secrets: the file is the helper's alone. See docs/evidence.rst.",
    ),
    Option(
        "evidence", "console", "pattern", "/var/lib/nova/instances/{uuid}/console.log",
        reason="Where a guest's console is written to, of which the end is kept; {uuid} stands for the guest's. Empty:"
        " no console is kept, and the process that reads it is not started.",
    ),
    Option(
        "evidence", "keep", "integer", 100, low=0, high=10000, reloadable=True,
        reason="Incidents of which evidence is kept, the newest ones. 0: none is taken.",
    ),
    Option(
        "evidence", "size", "integer", 100, unit="MiB", low=1, high=1048576, reloadable=True,
        reason="Disk space that all evidence may take, in state.directory; the oldest makes room.",
    ),
    Option(
        "evidence", "days", "integer", 30, low=1, high=3650, reloadable=True,
        reason="Days after which evidence is removed, whether its incident is over or not.",
    ),
    Option(
        "metrics", "listen", "loopback", "", low=1024, high=65535, reloadable=True,
        reason="Where a Prometheus finds metrics of the helper over HTTP: 127.0.0.1:PORT or [::1]:PORT, which only this"
        " host reaches. Empty: nowhere. Takes the package python3-prometheus-client. docs/metrics.rst has them all.",
    ),
    Option(
        "metrics", "textfile", "textfile", "", reloadable=True,
        reason="The same every 15 s as a file NAME.prom in the directory of node_exporter's textfile collector, which"
        " the user of [state] must be able to write. Empty: no file. Takes that package as well.",
    ),
    Option(
        "log", "to", "string", "syslog",
        reason="syslog, or the absolute path of a file. A log that cannot be written never stops the helper.",
    ),
    Option(
        "log", "level", "choice", "info", choices=("debug", "info", "warning", "error"),
        reason="The least that is logged.",
    ),
    Option(
        "state", "directory", "path", STATE_DIRECTORY,
        reason="Where incidents are kept. Mode 0700, on a disk, not in /run.",
    ),
    Option(
        "state", "user", "string", "masakari-qga",
        reason="The user as which the helper runs, once it has taken what only root can: a member of the groups libvirt"
        " and haclient. Where it is missing or could not do the work, the helper stays root and its log says why, as"
        " masakari-qga check does. root: it stays root.",
    ),
)
