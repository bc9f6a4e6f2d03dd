"""The manual pages, made from the tables that the programs themselves run by: python3 -m docs.man.pages DIRECTORY

masakari-qga(8) is the operator's command, masakari-qga.conf(5) the configuration file, ocf_masakari_qga(7) the resource
agent, under the name that agents' pages have. Both packages call this when they are built.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from docs.man import roff
from heartbeat import __version__, settings
from qga_ra import command, metadata
from qga_ra.parameters import TABLE

COMMAND, FILE, AGENT = "masakari-qga.8", "masakari-qga.conf.5", "ocf_masakari_qga.7"

OUTCOMES = (
    ("0", "Success; monitor: the helper lives and makes progress."),
    ("1", "The helper died, does not answer, or makes no progress; the reason is in one line."),
    ("2", "The configuration file of this node is missing or wrong: file, line and remedy are named."),
    ("4", "Permission: the agent is not run as root, or the configuration file may be read by everybody."),
    ("5", "Something that the helper needs is not installed on this node."),
    ("6", "A parameter is wrong, on whatever node."),
    ("7", "The helper surely does not run."),
)
ATTRIBUTES: Mapping[str, str] = {
    "qga-state": "**ok**, **failed**, or what keeps the helper from judging or reporting, which begins with its source,"
    " such as **libvirt:**, **ledger:** or **masakari:**.",
    "qga-failed": "How many guests of this node have failed and wait for their recovery.",
    "qga-failed-vms": "Their uuids, at most five, and the number of the rest; **none** without any.",
    "qga-unhealthy": "How many guests of this node have failed by a health check, whatever that causes.",
}
FILES = (
    (settings.CONFIG, "The configuration, with the password: mode 0640. See **masakari-qga.conf**(5)."),
    (settings.STATE_DIRECTORY, "What has happened and what is still to be reported: SQLite, mode 0700."),
    ("/var/log/masakari-qga", "A place for a log file, which logrotate looks after. The default is syslog."),
    (settings.RUN_DIRECTORY, "Lock and control socket of the running helper, for root only."),
)
WATCHING = """
**status --watch** takes the whole terminal and gives it back when it ends. First comes the node, in one line, and how
many guests are in which state; below it what is wrong beside the guests, or held, and nothing of what is well; then
the guests: who needs a human first, then who is being reported, then who is in doubt.

It follows the size of the terminal. Where there is not room for everything the uuids are cut to as many characters as
tell all guests of the node apart, and **why** takes them so; then columns are left out, and at last guests, which are
counted in the last line. Times are ages.

If the helper does not answer that is said, the last table stays, dimmed, with its age, and the helper is asked again.
Keys: **q** ends it, **Ctrl-L** draws it anew, **Ctrl-Z** stops it.

Where standard output is no terminal, or one on which no cursor can be moved, the whole table of **status** is printed
at each interval, with the time above it.
"""
PROGRAMS = """
With **--json** one document is printed. Its field **format** changes when something that a program may rely on does;
docs/status-json.rst, which is installed with the other pages, has every field.
"""
ENVIRONMENT = (
    ("NO_COLOR", "Set to anything, **status --watch** uses no colours. They only repeat what a word says."),
    ("TERM", "Empty, unset or **dumb**: no cursor can be moved on this terminal."),
)


def pages(date: str) -> dict[str, str]:
    """Every page by its file name. date: YYYY-MM-DD."""
    return {COMMAND: _command(date), FILE: _file(date), AGENT: _agent(date)}


def _title(page: str, date: str) -> str:
    name, _, section = page.rpartition(".")
    return roff.title(name, int(section), date, f"masakari-qga {__version__}")


def _others(*pages: str) -> str:
    return roff.paragraph(", ".join("**{0}**({2})".format(*page.rpartition(".")) for page in pages))


def _command(date: str) -> str:
    parser = command.parser()
    return "".join([
        _title(COMMAND, date),
        roff.section("NAME", "masakari\\-qga \\- what the guest monitor of this compute node sees and does\n"),
        roff.section("SYNOPSIS", *(
            f"\\fBmasakari\\-qga {roff.plain(name)}\\fR {roff.plain(_usage(sub))}\n.br\n"
            for name, sub, _ in _commands(parser)
        )),
        roff.section(
            "DESCRIPTION",
            roff.paragraph("Asks the helper that the Pacemaker resource ocf:masakari:qga runs on every compute node. It"
                           " watches the guests of its node through libvirt and their QEMU guest agents, and reports"
                           " those that have really failed to OpenStack Masakari. Only root may ask."),
        ),
        roff.section("COMMANDS", *(roff.item(name, _sentence(about)) + _options(sub)
                                   for name, sub, about in _commands(parser))),
        roff.section("OPTIONS", roff.item("--version", "Print the version of what is installed, which after an upgrade"
                                          " may be newer than the helper that still runs; status shows that one.")),
        roff.section("EXIT STATUS", roff.items([
            ("0", "Success; a table that is watched was ended with q or Ctrl-C."),
            ("1", "The helper does not run or does not answer, or it refuses what was asked."),
            ("2", "Wrong command line."),
            ("3", "probe: nobody can tell. There, 0 is one that answered or is healthy, 1 one that did, or is, not."),
        ])),
        roff.section("WATCHING", *(roff.paragraph(text) for text in WATCHING.split("\n\n"))),
        roff.section("OUTPUT FOR PROGRAMS", roff.paragraph(PROGRAMS)),
        roff.section("ENVIRONMENT", roff.items(ENVIRONMENT)),
        roff.section("FILES", roff.items(FILES)),
        roff.section(
            "EXAMPLES",
            roff.paragraph("Why a guest is, or is not, recovered; its uuid may be cut short:"),
            roff.example("masakari-qga why 3f2a"),
            roff.paragraph("What happens on this node, drawn anew every five seconds:"),
            roff.example("masakari-qga status --watch 5"),
            roff.paragraph("Nobody is recovered on this node while its storage is worked on:"),
            roff.example('masakari-qga hold all --for 2h --reason "storage upgrade"', "masakari-qga release all"),
        ),
        roff.section("SEE ALSO", _others(FILE, AGENT, "crm_mon.8", "pcs.8")),
    ])  # fmt: skip


def _commands(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser, str]]:
    """Each command by its name, its parser and what it is about; its own commands follow it."""
    for listed in [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]:
        about = {choice.dest: choice.help or "" for choice in listed._choices_actions}
        for name, sub in listed.choices.items():
            yield name, sub, about[name]
            for inner, *rest in _commands(sub):
                yield (f"{name} {inner}", *rest)


def _usage(sub: argparse.ArgumentParser) -> str:
    words = sub.format_usage().split()
    at = words.index("[-h]") if "[-h]" in words else len(words)
    own = [action for action in sub._actions if isinstance(action, argparse._SubParsersAction)]
    end = len(words) - len(f"{own[0].metavar} ...".split()) if own else len(words)
    return " ".join(words[at + 1 : end])


def _options(sub: argparse.ArgumentParser) -> str:
    made = []
    for action in sub._actions:
        if "--help" in action.option_strings or isinstance(action, argparse._SubParsersAction):
            continue
        value = str(action.metavar or "") if action.nargs != 0 else ""
        name = " ".join([*action.option_strings[-1:], f"[{value}]" if action.nargs == "?" else value])
        made.append(roff.item(name.strip(), _sentence((action.help or "") % {"default": action.default})))
    return f".RS\n{''.join(made)}.RE\n" if made else ""


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:].rstrip(".") + "."


def _file(date: str) -> str:
    return "".join([
        _title(FILE, date),
        roff.section("NAME", "masakari\\-qga.conf \\- configuration of the guest monitor masakari\\-qga\n"),
        roff.section("SYNOPSIS", f"\\fI{roff.plain(settings.CONFIG)}\\fR\n"),
        roff.section(
            "DESCRIPTION",
            roff.paragraph("An INI file. What it does not say has the default shown here. An unknown section or name,"
                           " or a value that is out of range, is refused with file, line and remedy; nothing is"
                           " ignored. It may hold a password and must not be readable by everybody."),
            roff.paragraph("**masakari-qga show-config** prints the values in effect and where each comes from."
                           " Options that are also parameters of the resource are overridden by those; see"
                           " **ocf_masakari_qga**(7). The helper reads the file when it starts. A changed parameter of"
                           " the resource makes it read the file again, and options that are marked reloadable take"
                           " effect then; others take a restart of the resource."),
        ),
        *(roff.section(f"SECTION [{section}]", *_section(section)) for section in settings.SECTIONS),
        roff.section(
            f"SECTION [{settings.CHECK} NAME]",
            roff.paragraph(settings.ABOUT[settings.CHECK]),
            *(_item(option) for option in settings.CHECK_OPTIONS),
        ),
        roff.section(
            "PRESETS",
            roff.paragraph("What each word of **sensitivity** sets, where the option itself is not set:"),
            roff.items((key, ", ".join(f"{word}: {preset[key]} s" for word, preset in settings.PRESETS.items()) + ".")
                       for key in settings.PRESETS["medium"]),
        ),
        roff.section("SEE ALSO", _others(COMMAND, AGENT)),
    ])  # fmt: skip


def _section(section: str) -> Iterator[str]:
    if section in settings.ABOUT:
        yield roff.paragraph(settings.ABOUT[section])
    for option in settings.OPTIONS:
        if option.section == section:
            yield _item(option)


def _item(option: settings.Option) -> str:
    also = [f"Parameter of the resource: {option.parameter}."] if option.parameter else []
    return roff.item(f"{option.name} =", option.reason, " ".join([*_facts(option), *also]))


def _facts(option: settings.Option) -> Iterator[str]:
    default = option.text(option.default) or "empty"
    yield f"Default: {default}{' ' + option.unit if option.unit else ''}."
    if option.kind in ("integer", "seconds"):
        yield f"From {option.low:g} to {option.high:g}."
    if option.kind == "boolean":
        yield "yes or no."
    if option.choices:
        several = " (several: comma separated)" if option.kind == "list" else ""
        yield f"Possible: {', '.join(option.choices)}{several}."
    if option.reloadable:
        yield "Reloadable."


def _agent(date: str) -> str:
    return "".join([
        _title(AGENT, date),
        roff.section("NAME", f"ocf_masakari_qga \\- {roff.plain(metadata.SHORT)}\n"),
        roff.section("SYNOPSIS",
                     f"\\fBqga\\fR [{' | '.join(roff.plain(action['name']) for action in metadata.ACTIONS)}]\n"),
        roff.section("DESCRIPTION", *(roff.paragraph(part) for part in metadata.LONG.strip().split("\n\n"))),
        roff.section("SUPPORTED PARAMETERS", *(_parameter(name, option) for name, option in TABLE.items())),
        roff.section("SUPPORTED ACTIONS", *(roff.item(action["name"], _timing(action)) for action in metadata.ACTIONS)),
        roff.section("EXIT STATUS", roff.items(OUTCOMES)),
        roff.section("NODE ATTRIBUTES", roff.items((name, ATTRIBUTES[name]) for name in settings.ATTRIBUTES)),
        roff.section(
            "EXAMPLES",
            roff.paragraph("On every node of the cluster; without **clone** it would run on a single one:"),
            roff.example("pcs resource create qga-monitor ocf:masakari:qga meta migration-threshold=3 \\",
                         "    failure-timeout=120s clone"),
            roff.paragraph("Another pace, while it runs and without forgetting what is known of the guests:"),
            roff.example("pcs resource update qga-monitor interval=5"),
        ),
        roff.section("SEE ALSO", _others(COMMAND, FILE, "pcs.8", "crm_mon.8")),
    ])  # fmt: skip


def _parameter(name: str, option: settings.Option) -> str:
    facts = list(_facts(option))
    if option.section:
        facts.append(f"Overrides {option.name} in section [{option.section}] of **masakari-qga.conf**(5).")
    return roff.item(name, option.reason, " ".join(facts))


def _timing(action: Mapping[str, str]) -> str:
    interval = f" Suggested interval: {action['interval']}." if "interval" in action else ""
    return f"Suggested minimum timeout: {action['timeout']}.{interval}"


def main(directory: Path) -> None:
    # As Debian and Fedora date what they build, so that one revision makes one page.
    moment = int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in pages(time.strftime("%Y-%m-%d", time.gmtime(moment))).items():
        (directory / name).write_text(text, encoding="ascii")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
