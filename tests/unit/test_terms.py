"""Who is watched, how sensitively, and what may come of it: who said what, and who may say it."""

from __future__ import annotations

import itertools

import pytest

from heartbeat.incident import CAREFUL
from heartbeat.terms import (
    ACTION,
    CHECKS,
    KEY,
    NO_INSTANCE,
    SENSITIVITIES,
    SENSITIVITY,
    SILENT,
    Consent,
    Instance,
    Rules,
    Terms,
    Wish,
    excerpt,
    terms,
    wish,
)

YES, NO = Wish(True), Wish(False)
OPT_IN = Rules(opt_in=True)


def test_without_a_word_from_anybody_every_guest_is_watched_by_the_usual_terms():
    assert terms(NO_INSTANCE, None, Rules()) == Terms("", "medium", "recover")


@pytest.mark.parametrize(("instance", "consent", "reason"), [
    (Instance(specs=YES), None, "its flavor says masakari:qga = yes"),
    (Instance(properties=YES), None, "its image says masakari:qga = yes"),
    (Instance("ha.small"), None, "its flavor is in watch.flavors"),
    (NO_INSTANCE, Consent(flavor="ha.small"), "its flavor is in watch.flavors"),
    (NO_INSTANCE, Consent(specs=YES), "its flavor says masakari:qga = yes"),
    (NO_INSTANCE, Consent(metadata=YES), "its server's metadata says masakari:qga = yes"),
    (NO_INSTANCE, Consent(True), "its server's metadata say so"),
])  # fmt: skip
def test_a_guest_may_opt_in_by_flavor_image_flavors_name_or_metadata(instance, consent, reason):
    found = terms(instance, consent, OPT_IN._replace(flavors=("ha.*", "gold"), api=True))
    assert (found.exempt, found.reasons) == ("", (f"opted in: {reason}",))


@pytest.mark.parametrize(("instance", "consent"), [
    (NO_INSTANCE, None), (Instance("small"), Consent()), (Instance("HA.small"), Consent(False)),
    (Instance(properties=Wish(sensitivity="low")), None),
])  # fmt: skip
def test_whoever_says_nothing_has_not_opted_in(instance, consent):
    assert terms(instance, consent, OPT_IN._replace(flavors=("ha.*",))).exempt == "not opted in"


@pytest.mark.parametrize("rules", [Rules(), OPT_IN])
@pytest.mark.parametrize(("instance", "metadata", "who"), [
    (Instance("ha", NO, YES), YES, "flavor"), (Instance("ha", YES, NO), YES, "image"),
    (Instance("ha", YES, YES), NO, "server's metadata"),
])  # fmt: skip
def test_a_no_of_anybody_is_a_no(rules, instance, metadata, who):
    found = terms(instance, Consent(True, metadata), rules._replace(flavors=("ha",)))
    assert found.exempt == f"its {who} says masakari:qga = no"


def test_until_nova_has_spoken_of_it_a_guest_that_was_watched_before_stays_so_and_no_other_is():
    rules = OPT_IN._replace(api=True)
    assert terms(NO_INSTANCE, None, rules, before=True).exempt == ""
    assert "Nova has not said anything" in terms(NO_INSTANCE, None, rules, before=False).exempt
    assert terms(NO_INSTANCE, Consent(), rules, before=True).exempt == "not opted in"


def test_no_tenant_raises_what_the_operator_and_his_flavor_allow():
    words = [Wish(None, sensitivity, action)
             for sensitivity, action in itertools.product(("", *SENSITIVITIES), ("", *CAREFUL))]
    for rules in (Rules(sensitivity=it, action=most) for it in SENSITIVITIES for most in CAREFUL):
        for flavor in words:
            allowed = terms(Instance(specs=flavor), None, rules)
            assert allowed.sensitivity == (flavor.sensitivity or rules.sensitivity)
            assert allowed.action == (flavor.action or rules.action)
            for image, server in itertools.product(words, words):
                found = terms(Instance(specs=flavor, properties=image), Consent(metadata=server), rules)
                assert SENSITIVITIES.index(found.sensitivity) >= SENSITIVITIES.index(allowed.sensitivity)
                assert CAREFUL.index(found.action) <= CAREFUL.index(allowed.action)


def test_a_tenant_may_lower_and_the_lowest_of_several_holds():
    found = terms(Instance(properties=Wish(None, "low", "record")), Consent(metadata=Wish(None, "medium", "ignore")),
                  Rules(sensitivity="high"))
    assert (found.sensitivity, found.action) == ("low", "ignore")
    assert "its server's metadata says sensitivity medium, which lowers nothing" in found.reasons


@pytest.mark.parametrize(("pairs", "found"), [
    ([(KEY, "yes")], YES), ([("masakari_qga", " TRUE ")], YES), ([("MASAKARI:QGA", "0")], NO),
    ([(KEY, "")], Wish(odd=(KEY,))), ([], SILENT),
    ([(SENSITIVITY, "low"), (ACTION, "Record")], Wish(None, "low", "record")),
    ([("masakari_qga_sensitivity", "utmost")], Wish(odd=(SENSITIVITY,))),
    ([(ACTION, "recover" + " " * 40 + "x")], Wish(odd=(ACTION,))), ([(ACTION, "x" * 10**6)], Wish(odd=(ACTION,))),
    ([(KEY, "no"), ("masakari_qga", "yes")], NO), ([("hw:cpu_policy", "dedicated"), ("qga", "no")], SILENT),
    ([(KEY, "yes\x1b[31m")], Wish(odd=(KEY,))),
])  # fmt: skip
def test_keys_are_spelt_with_colons_or_underscores_and_other_values_mean_nothing(pairs, found):
    assert wish(pairs) == found


@pytest.mark.parametrize(("value", "checks", "odd"), [
    ("web", ("web",), ()), (" Web , queue,web,, ", ("web", "queue"), ()), ("none", (), ()), ("web, NONE", (), ()),
    ("", None, (CHECKS,)), (" , ", None, (CHECKS,)), ("<evil>", None, (CHECKS,)), ("web, <evil>", ("web",), (CHECKS,)),
    ("web;queue", None, (CHECKS,)), ("x" * 33, None, (CHECKS,)), ("x" * 32, ("x" * 32,), ()),
    ("w," * 127 + "w", ("w",), ()), ("w," * 127 + "we", None, (CHECKS,)), ("web," * 10**6, None, (CHECKS,)),
])  # fmt: skip
def test_a_list_of_checks_is_names_or_none_and_what_may_be_cut_is_not_taken(value, checks, odd):
    for key in (CHECKS, "masakari_qga_checks"):
        assert wish([(key, value)]) == wish([(key, excerpt(key, value))]) == Wish(checks=checks, odd=odd)


def test_who_asks_for_which_checks_is_told_and_which_of_them_are_not_defined():
    rules = Rules(checks=frozenset({"web", "queue"}))
    instance = Instance(specs=Wish(checks=("web", "webb")), properties=Wish(checks=("queue",)))
    assert terms(instance, Consent(metadata=Wish(checks=())), rules).reasons == (
        "its flavor asks for health checks web",
        "its flavor asks for health checks webb, which are not understood: not defined here",
        "its image asks for health checks queue",
        "its server's metadata wants no health checks",
    )


def test_however_many_checks_are_asked_for_few_are_told():
    many = wish([(CHECKS, ",".join(f"{number}" for number in range(70)))])
    found, = terms(Instance(properties=many), None, Rules()).reasons
    assert found.startswith("its image asks for health checks 0, 1, 2, 3, 4 and 65 more, which are not understood")


def test_nothing_that_a_tenant_wrote_is_ever_repeated_unless_it_could_be_a_checks_name():
    said = wish([(KEY, "<evil>"), (SENSITIVITY, "<evil>"), (ACTION, "<evil>"), (CHECKS, "<evil>, web")])
    found = terms(Instance("<evil>", said, said, "<evil>"), Consent(None, said, "<evil>", said), OPT_IN)
    assert "evil" not in str(found)
    assert "its image asks for health checks web, which are not understood: not defined here" in found.reasons
    assert "its image has a value for masakari:qga that is not understood" in found.reasons


@pytest.mark.parametrize(("flavor", "image", "server", "kept"), [
    ("", "", "", None), ("yes", "", "", True), ("", "yes", "", True), ("", "", "yes", True),
    ("yes", "no", "", False), ("no", "yes", "yes", False), ("", "", "no", False), ("maybe", "", "", None),
])
def test_a_picture_of_the_screen_is_anybodys_to_refuse_and_to_allow(flavor, image, server, kept):
    specs, properties, metadata = (wish([(key, value)] if value else []) for key, value in (
        ("masakari:qga_screenshot", flavor), ("masakari_qga_screenshot", image), ("masakari_qga_screenshot", server)))
    found = terms(Instance("m1", specs, properties), Consent(metadata=metadata), Rules())
    assert found.screenshot is kept
    assert found[:3] == ("", "medium", "recover")
    assert any("masakari:qga_screenshot" in reason for reason in found.reasons) == (flavor == "maybe")
