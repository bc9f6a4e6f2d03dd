"""The options that say who is told, and what it takes to reach them."""

from __future__ import annotations

from heartbeat.option import Option
from heartbeat.plugins import NAMES

BACKENDS = ("masakari", "attributes")  # unless somebody says otherwise

ADDRESSEES: tuple[Option, ...] = (
    Option(
        "report", "backends", "backends", BACKENDS, choices=NAMES, reloadable=True, parameter="backends",
        reason="Who is told of a failed guest. Each has a section of its own here, and a page in docs/backends. Another"
        " package may bring further ones; the section of such a backend bears its name and takes what it documents.",
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
        "masakari", "records", "boolean", False, reloadable=True,
        reason="Send Masakari what is only recorded, too, as notifications that its engine stores and ignores: for"
        " those who look for everything in Masakari's list. They never cause a recovery.",
    ),
    Option(
        "vitrage", "endpoint", "string", "", reloadable=True,
        reason="Vitrage's address, if the catalogue's (rca) is not to be used. The user, Keystone, region, interface"
        " and cafile are those of [masakari].",
    ),
    Option(
        "vitrage", "timeout", "integer", 15, unit="s", low=1, high=120, reloadable=True,
        reason="Seconds that one request may take. Vitrage answers after 6 s when its graph is down.",
    ),
    Option(
        "vitrage", "records", "boolean", True, reloadable=True,
        reason="Raise alarms for what is only recorded as well: an alarm acts on nothing by itself.",
    ),
    Option(
        "mistral", "workflow", "string", "masakari_qga", reloadable=True,
        reason="Name of the workflow that is executed for a failed guest. It must take the inputs of the example in"
        " docs/backends/mistral_workflow.yaml, no more and no less, and be visible to the project.",
    ),
    Option(
        "mistral", "endpoint", "string", "", reloadable=True,
        reason="Mistral's address, ending in /v2, if the catalogue's (workflowv2) is not to be used. The user,"
        " Keystone, region, interface and cafile are those of [masakari].",
    ),
    Option(
        "mistral", "timeout", "integer", 15, unit="s", low=1, high=120, reloadable=True,
        reason="Seconds that one request may take.",
    ),
    Option(
        "mistral", "records", "boolean", False, reloadable=True,
        reason="Execute the workflow for what is only recorded as well. Its input says which it is: a workflow that"
        " recovers guests must look at it.",
    ),
    Option(
        "webhook", "url", "string", "", reloadable=True,
        reason="Where reports are posted, as signed JSON. No password in it: it is shown and logged.",
    ),
    Option(
        "webhook", "key", "string", "", secret=True, reloadable=True,
        reason="The key that both sides know and every request is signed with (HMAC-SHA256), at least 16 characters;"
        " as base64 after whsec_, or as it stands.",
    ),
    Option(
        "webhook", "cafile", "path", "", reloadable=True,
        reason="CA certificates for it. Empty: the system's.",
    ),
    Option(
        "webhook", "timeout", "integer", 10, unit="s", low=1, high=120, reloadable=True,
        reason="Seconds that one request may take. A receiver should store, answer, and work afterwards.",
    ),
    Option(
        "webhook", "records", "boolean", True, reloadable=True,
        reason="Post what is only recorded as well; the document says which it is.",
    ),
    Option(
        "webhook", "acts", "boolean", False, reloadable=True,
        reason="Whether the receiver may recover guests. yes: reports wait for holds, maintenance and the budget, as"
        " those to Masakari do, and count against the budget. no: it only informs, so it is told at once.",
    ),
    Option(
        "command", "path", "path", "", reloadable=True,
        reason="An executable that is run for each report, as the helper's user, with what happened in its environment"
        " (QGA_*) and never through a shell. It, and its directory, must be root's and writable for nobody else.",
    ),
    Option(
        "command", "arguments", "string", "", reloadable=True,
        reason="Its arguments, separated by blanks; quotes keep one together. Nothing in them is expanded.",
    ),
    Option(
        "command", "timeout", "integer", 30, unit="s", low=1, high=600, reloadable=True,
        reason="Seconds that it may run; after them it is killed, with all that it has started.",
    ),
    Option(
        "command", "records", "boolean", False, reloadable=True,
        reason="Run it for what is only recorded as well; QGA_ACTION says which it is.",
    ),
    Option(
        "command", "acts", "boolean", True, reloadable=True,
        reason="Whether it may recover guests. yes: it waits for holds, maintenance and the budget, as Masakari does,"
        " and counts against the budget. no: it only informs, so it is run at once.",
    ),
)
