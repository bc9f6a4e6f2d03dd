"""Sensitivity, mode, verdicts and events: what an operator writes, and what the decision then works with."""

from __future__ import annotations

from pathlib import Path

import pytest

from heartbeat import settings
from heartbeat.configuration import Configuration, ConfigurationError, ParameterError, load
from heartbeat.guest import Channel, Guest
from heartbeat.happenings import BY_NAME
from heartbeat.policy import Policy, policy
from heartbeat.terms import NO_INSTANCE, Consent, Instance, Wish
from qga_ra import metadata


@pytest.fixture
def configured(tmp_path: Path):
    def configured(text: str = "", other: str = "", **parameters: str) -> Configuration:
        (tmp_path / "other.conf").write_text(other)
        path = tmp_path / "ours.conf"
        path.write_text(f"[masakari]\ncredentials = {tmp_path}/other.conf\n{text}")
        return load(str(path), parameters)

    return configured


def test_every_preset_sets_the_same_options_to_possible_values():
    for values in settings.PRESETS.values():
        assert set(values) == set(settings.PRESETS["medium"])
        for key, value in values.items():
            option = settings.BY_KEY[key]
            assert option.parse(option.text(value)) == value
    assert tuple(settings.PRESETS) == settings.BY_KEY["watch.sensitivity"].choices


def test_medium_is_the_defaults():
    assert settings.PRESETS["medium"] == {key: settings.BY_KEY[key].default for key in settings.PRESETS["medium"]}


@pytest.mark.parametrize("key", [key for key in settings.PRESETS["medium"] if not key.startswith("budget.")])
def test_the_less_sensitive_the_longer(key):
    assert settings.PRESETS["high"][key] < settings.PRESETS["medium"][key] < settings.PRESETS["low"][key]


def test_one_word_sets_all_times(configured):
    config = configured("[watch]\nsensitivity = low\n")
    assert {key: config[key] for key in settings.PRESETS["low"]} == settings.PRESETS["low"]
    assert {config.origins[key] for key in settings.PRESETS["low"]} == {"preset low"}
    assert config.origins["watch.resync"] == "default"


def test_a_value_that_is_set_wins_over_the_preset_wherever_either_comes_from(configured):
    config = configured("[watch]\nsilence = 20\n", "", sensitivity="high", interval="7")
    assert [config[f"watch.{name}"] for name in ("interval", "silence", "timeout")] == [7, 20, 3]
    assert config.origins["watch.timeout"] == "preset high"
    assert config.origins["watch.interval"] == "parameter interval"


def test_the_parameter_sensitivity_wins_over_the_files(configured):
    config = configured("[watch]\nsensitivity = low\n", sensitivity="high")
    assert config["watch.agent_down"] == settings.PRESETS["high"]["watch.agent_down"]


def test_masakarimonitors_conf_wins_over_the_preset(configured):
    config = configured(
        "[watch]\nsensitivity = low\n", "[introspectiveinstancemonitor]\nguest_monitoring_interval = 9\n"
    )
    assert (config["watch.interval"], config["watch.timeout"]) == (9, 10)
    assert config.origins["watch.interval"].endswith("guest_monitoring_interval")


def test_an_unknown_word_is_refused_with_those_that_are_known(configured):
    with pytest.raises(ParameterError, match="'hihg': give one of: high, medium, low"):
        configured(sensitivity="hihg")
    with pytest.raises(ConfigurationError, match="give one of: enforce, observe"):
        configured("[watch]\nmode = dry-run\n")
    with pytest.raises(ConfigurationError, match="give one of: recover, record, ignore"):
        configured("[events]\nreboot = reset\n")


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("lifecycle.stoped.failed", "lifecycle.stopped.failed"),
        ("LIFECYCLE_STOPPED_FAILED", "lifecycle.stopped.failed"),
        ("watchdog.inject-nmi", "watchdog.injectnmi"),
        ("io_error.report", "io-error.report"),
        ("reset", "reboot"),
        ("x" * 300, ""),
    ],
)
def test_an_unknown_event_is_refused_with_the_nearest_one(configured, name, nearest):
    with pytest.raises(ConfigurationError, match=r"line 4: events\..*: unknown option; did you mean ") as failure:
        configured(f"[events]\n{name} = ignore\n")
    found = str(failure.value).rpartition("did you mean ")[2].rstrip("?")
    assert found in BY_NAME
    assert nearest in ("", found)
    assert len(str(failure.value)) < 400


def test_a_verdict_among_the_events_is_sent_to_its_section(configured):
    with pytest.raises(ConfigurationError, match=r"events\.hung: unknown option; it belongs in \[verdicts\]"):
        configured("[events]\nhung = ignore\n")


def test_the_decision_gets_what_the_options_say(configured):
    timing = policy(configured("[watch]\nio_error = 7\nboot = 30\ngrace = 1\nmode = observe\n"))
    assert (timing.interval, timing.timeout, timing.silence, timing.agent_down) == (10, 5, 15, 60)
    assert (timing.io_error, timing.boot, timing.grace, timing.observe) == (7, 30, 1, True)
    assert timing.actions == {name: action for name, action, _ in settings.VERDICTS}
    assert timing.events == {it.name: (it.verdict, it.action) for it in BY_NAME.values()}
    assert policy(configured()).observe is False


def test_an_event_causes_what_its_row_says(configured):
    events = policy(configured("[events]\nwatchdog.none = recover\nlifecycle.stopped.failed = ignore\n")).events
    assert events["watchdog.none"] == ("watchdog", "recover")
    assert events["lifecycle.stopped.failed"] == ("qemu-died", "ignore")


def test_an_event_never_causes_more_than_its_verdict(configured):
    timing = policy(configured("[verdicts]\nqemu-died = record\n[events]\nlifecycle.stopped.failed = recover\n"))
    assert timing.actions["qemu-died"] == "record"
    assert timing.events["lifecycle.stopped.failed"] == ("qemu-died", "record")
    assert timing.events["lifecycle.crashed.panicked"] == ("panicked", "recover")


# Health checks

HERS = """
[check all]
kind = builtin
measure = load
limit = 4
guests = all
[check web]
kind = exec
command = /bin/check
flavors = web.*, gold
[check shop]
kind = file
path = /run/shop
names = shop-?, instance-0000002a
[check asked]
kind = exec
command = /bin/check
"""


def given(policy: Policy, instance: Instance = NO_INSTANCE, consent: Consent | None = None, name: str = "vm") -> str:
    guest = Guest("25efc0bf-1659-4c83-b4e6-4e0e6d0f0b01", name, Channel.OPEN, 10, 1, instance=instance)
    return " ".join(check.name for check in policy.checks_of(guest, consent))


@pytest.mark.parametrize(("instance", "consent", "name", "checks"), [
    (NO_INSTANCE, None, "vm", "all"),
    (Instance("web.small"), None, "vm", "all web"),
    (NO_INSTANCE, Consent(flavor="gold"), "vm", "all web"),
    (Instance("WEB.small"), None, "vm", "all"),
    (NO_INSTANCE, None, "instance-0000002a", "all shop"),
    (Instance(name="shop-1"), None, "instance-00000001", "all shop"),
    (Instance(name="shop-12"), None, "shop-12", "all"),
    (Instance(specs=Wish(checks=("asked",))), None, "vm", "all asked"),
    (NO_INSTANCE, Consent(specs=Wish(checks=("asked",))), "vm", "all asked"),
    (Instance(properties=Wish(checks=("asked", "web"))), None, "vm", "all web asked"),
    (Instance(properties=Wish(checks=("asked",))), Consent(metadata=Wish(checks=("web",))), "vm", "all web asked"),
    (Instance(specs=Wish(checks=("unheard-of",))), Consent(metadata=Wish(True)), "vm", "all"),
])  # fmt: skip
def test_a_guest_gets_the_checks_that_are_for_all_for_its_flavor_or_name_or_that_anybody_asks_for(
    configured, instance, consent, name, checks
):
    assert given(Policy(configured(HERS)), instance, consent, name) == checks


@pytest.mark.parametrize(("instance", "consent"), [
    (Instance("web", Wish(checks=("web",)), Wish(checks=())), None),
    (Instance("web", Wish(checks=("web",))), Consent(metadata=Wish(checks=()))),
    (Instance("web", Wish(checks=()), Wish(checks=("web",))), None),
])  # fmt: skip
def test_a_guest_of_which_anybody_wants_no_checks_gets_none(configured, instance, consent):
    assert given(Policy(configured(HERS)), instance, consent, "shop-1") == ""


def test_without_a_check_nobody_gets_one(configured):
    assert given(Policy(configured()), Instance(properties=Wish(checks=("web",)))) == ""


def test_whether_a_check_that_is_asked_for_exists_is_told_with_the_terms(configured):
    policy = Policy(configured(HERS))
    terms, _ = policy.of(Instance(properties=Wish(checks=("web", "wbe"))))
    assert terms.reasons == (
        "its image asks for health checks web",
        "its image asks for health checks wbe, which are not understood: not defined here",
    )


def test_a_guest_that_may_only_be_recorded_is_not_recovered_for_being_unhealthy_either(configured):
    policy = Policy(configured(HERS))
    assert policy.timing.actions["unhealthy"] == "recover"
    assert policy.of(Instance(properties=Wish(action="record")))[1].actions["unhealthy"] == "record"
    assert Policy(configured("[verdicts]\nunhealthy = ignore\n")).timing.actions["unhealthy"] == "ignore"


def test_the_meta_data_has_sensitivity_and_mode_with_their_words():
    document = metadata.document()
    for name, words in (("sensitivity", "high, medium, low"), ("mode", "enforce, observe")):
        assert f'<parameter name="{name}" required="0" reloadable="1">' in document
        assert f"Possible: {words}." in document
