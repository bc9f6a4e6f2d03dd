"""What an agent allows, why it refuses, and what is shown of a guest's text."""

from __future__ import annotations

import base64

import pytest

from heartbeat.health.replies import Capabilities, Refusal, capabilities, complaint, decoded, number, printed, refusal

LIBVIRT_9 = "internal error: unable to execute QEMU agent command 'guest-exec': "
LIBVIRT_11 = "guest agent command failed: unable to execute QEMU agent command 'guest-exec': "
GERMAN = "Interner Fehler: QEMU-Agent-Befehl 'guest-exec' kann nicht ausgef\u00fchrt werden: "


def info(*names: str, version: object = "7.2.22", off: tuple[str, ...] = ()) -> dict[str, object]:
    return {"version": version, "supported_commands": [
        *({"name": name, "enabled": True, "success-response": True} for name in names),
        *({"name": name, "enabled": False, "success-response": True} for name in off),
    ]}  # fmt: skip


def test_what_an_agent_allows_is_what_it_lists_as_enabled():
    said = info("guest-sync", "guest-info", off=("guest-exec",))
    assert capabilities(said) == Capabilities(frozenset({"guest-sync", "guest-info"}), (7, 2, 22))


def test_what_is_allowed_during_a_freeze_is_not_taken_for_all():
    frozen = ("guest-ping", "guest-info", "guest-sync", "guest-sync-delimited", "guest-fsfreeze-status",
              "guest-fsfreeze-thaw")  # fmt: skip
    assert capabilities(info(*frozen, off=("guest-exec", "guest-get-time"))) is None
    assert capabilities(info("guest-sync", "guest-info", off=("guest-exec",))), "an agent that allows next to nothing"
    assert capabilities(info(*frozen, "guest-get-time"))


@pytest.mark.parametrize("value", [None, 5, [], "x", {}, {"supported_commands": 5}, {"supported_commands": {}}])
def test_what_is_no_list_of_commands_is_not_understood(value):
    assert capabilities(value) is None


def test_only_entries_of_the_right_form_count_and_only_so_many():
    odd = [None, 5, "guest-exec", {}, {"name": "guest-exec"}, {"name": "guest-exec", "enabled": 1}, {"enabled": True},
           {"name": 5, "enabled": True}, {"name": "x" * 65, "enabled": True}, ["guest-exec", True]]  # fmt: skip
    assert capabilities({"supported_commands": odd}) == Capabilities(frozenset(), ())
    many = capabilities(info(*(f"c{number}" for number in range(100_000))))
    assert many
    assert len(many.commands) == 512


@pytest.mark.parametrize("before", [LIBVIRT_9, LIBVIRT_11, GERMAN, ""])
@pytest.mark.parametrize(("words", "meaning"), [
    ("Command guest-exec has been disabled: the command is not allowed", Refusal.DISABLED),
    ("Command guest-exec has been disabled", Refusal.DISABLED),
    ("The command guest-exec has been disabled for this instance", Refusal.DISABLED),
    ("The command has been disabled for this instance", Refusal.DISABLED),
    ("Command guest-exec has been disabled: the agent is in frozen state", Refusal.FROZEN),
    ("The command guest-exec has not been found", Refusal.UNKNOWN),
    ("The command has not been found", Refusal.UNKNOWN),
    ("handle '1002' has not been found", Refusal.GONE),
    ("PID 4711 does not exist", Refusal.GONE),
    ("PID ld does not exist", Refusal.GONE),
    ("Invalid parameter 'pid'", Refusal.GONE),
    ("failed to open file '/x' (mode: 'r'): No such file or directory", Refusal.MISSING),
    ("failed to open file '/x' (mode: 'r'): Datei oder Verzeichnis nicht gefunden", Refusal.OTHER),
    ("The system cannot find the path specified.", Refusal.MISSING),
    ("Failed to execute child process \u201c/x\u201d (Permission denied)", Refusal.OTHER),
    ("failed to open file '/x' (mode: 'r'): Operation not permitted", Refusal.OTHER),
    ("not today", Refusal.OTHER),
    ("", Refusal.OTHER),
])  # fmt: skip
def test_an_agents_refusal_is_known_by_its_words_whatever_the_version(before, words, meaning):
    assert refusal(before + words) is meaning


def test_only_the_agents_words_are_shown():
    assert complaint(LIBVIRT_9 + "not today: 'x': y") == "not today: 'x': y"
    assert complaint("Unable to read") == "Unable to read"


@pytest.mark.parametrize(("value", "text"), [
    (base64.b64encode("gr\u00fc\u00df".encode()).decode(), "gr\u00fc\u00df"), ("", ""), (None, ""), (5, ""),
    ("====", ""), ("abc", ""),
    ("\u00e4" * 8, ""), ("\ud800aaa", ""), ("YQ==\n", ""), (base64.b64encode(b"\xff").decode(), "\ufffd"),
    ("YWFh" * 10**6, "aaa" * 1024),
])  # fmt: skip
def test_only_the_beginning_of_what_is_in_base64_is_looked_at(value, text):
    assert decoded(value) == text


@pytest.mark.parametrize("text", ["\U0001f600" * 500, "\ud800\x00\x1b", "a\nb\r\tc", "'\"\\", "\u202e", "x" * 10**6])
def test_a_guests_text_is_one_short_printable_line(text):
    shown = printed(text)
    assert shown.isascii()
    assert shown.isprintable()
    assert len(shown) <= 120


@pytest.mark.parametrize(("text", "shown"), [
    ("C:\\ is full", "C:\\ is full"), ("it's \"so\"", "it's \"so\""), ("a\x1b[2J\x7f\nb", "a\\x1b[2J\\x7f b"),
])  # fmt: skip
def test_what_can_be_printed_is_shown_as_it_is(text, shown):
    assert printed(text) == shown


@pytest.mark.parametrize(("value", "meant"), [
    (1, 1.0), (1.5, 1.5), (0, 0.0), (True, None), (-1, None), (-0.5, None), (float("nan"), None),
    (float("inf"), None), ("1", None), (None, None), (10**400, None), ([], None),
])  # fmt: skip
def test_only_a_number_that_can_be_reckoned_with_is_one(value, meant):
    assert number(value) == meant
