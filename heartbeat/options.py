"""The options that are written by hand; heartbeat.settings adds those made from the tables of verdicts and events."""

from __future__ import annotations

from heartbeat.option import Option

STATE_DIRECTORY = "/var/lib/masakari-qga"
BACKENDS = ("masakari", "attributes")
SENSITIVITIES = ("high", "medium", "low")

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
        " at least, for a first question. libvirt itself waits 5 s after a first silence, whatever stands here.",
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
        "libvirt", "connection_uri", "string", "qemu:///system",
        reason="libvirt's address. It must be of this host: witnesses are read from /proc.",
    ),
    Option(
        "report", "backends", "list", BACKENDS, choices=BACKENDS, reloadable=True, parameter="backends",
        reason="Who is told of a failed guest.",
    ),
    Option(
        "report", "hostname", "hostname", "", reloadable=True, parameter="hostname",
        reason="This compute node's name in Masakari, which is Nova's name for it. Empty: [DEFAULT] host of nova.conf,"
        " or else the host name.",
    ),
    Option(
        "masakari", "credentials", "path", "/etc/masakarimonitors/masakarimonitors.conf",
        reason="An existing masakarimonitors.conf. Its [api] section is used where auth_url is empty here, and its"
        " guest_monitoring_* values where this file does not set their counterparts. It need not exist.",
    ),
    Option(
        "masakari", "auth_url", "string", "",
        reason="Keystone's address, for example https://keystone.example:5000/v3.",
    ),
    Option(
        "masakari", "username", "string", "",
        reason="A user with the role admin on project_name: Masakari asks for it.",
    ),
    Option(
        "masakari", "password", "string", "", secret=True,
        reason="The user's password. This is why the file is 0640.",
    ),
    Option("masakari", "project_name", "string", "service", reason="The project to which the token is scoped."),
    Option("masakari", "user_domain_name", "string", "Default", reason="Keystone domain of the user."),
    Option("masakari", "project_domain_name", "string", "Default", reason="Keystone domain of the project."),
    Option(
        "masakari", "region", "string", "",
        reason="Region whose endpoint is used. Empty: the catalogue's only one.",
    ),
    Option(
        "masakari", "interface", "choice", "public", choices=("public", "internal", "admin"),
        reason="Which of Masakari's endpoints in the catalogue is used.",
    ),
    Option("masakari", "endpoint", "string", "", reason="Masakari's address, if the catalogue's is not to be used."),
    Option("masakari", "cafile", "path", "", reason="CA certificates for Keystone and Masakari. Empty: the system's."),
    Option(
        "masakari", "timeout", "integer", 15, unit="s", low=6, high=120, reloadable=True,
        reason="Seconds that one request may take. Masakari itself may sleep 5 s before it stores a notification.",
    ),
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
