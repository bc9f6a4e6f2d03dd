"""Backends by name: ours, others' that are registered as entry points, and words that name none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from heartbeat import configuration, connections, plugins, sender, settings
from heartbeat.backends import Delivered, Report
from heartbeat.configuration import ConfigurationError, ParameterError
from heartbeat.incident import HUNG
from heartbeat.records import Recipient
from heartbeat.sender import Sender

ROOT = Path(__file__).resolve().parents[2]
REPORT = Report(1, "25efc0bf-1659-4c83-b4e6-4e0e6d0f0b01", HUNG, "2026-11-20T05:00:00+00:00", "compute1", False)
PAGER = """
from heartbeat.backends import Delivered, Later
class Pager:
    def __init__(self, options):
        self.number = options["number"]
        if self.number == "none": raise ValueError("number = none")
    def prepare(self):
        print("what a library prints does no harm")
    def deliver(self, report):
        if self.number == "broken": raise KeyError("a bug of the package's")
        return Delivered(self.number)
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Another package, installed where Python finds it, which registers these entry points."""
    place = tmp_path / "site"

    def install(points: str = "pager = paging:Pager") -> Path:
        metadata = place / "paging-1.0.dist-info"
        metadata.mkdir(parents=True, exist_ok=True)
        (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: paging\nVersion: 1.0\n")
        (metadata / "entry_points.txt").write_text(f"[{plugins.GROUP}]\n{points}\n[other.group]\nx = y:z\n")
        (place / "paging.py").write_text(PAGER)
        monkeypatch.syspath_prepend(str(place))
        return place

    return install


@pytest.fixture
def load(tmp_path):
    def loaded(text: str, **parameters: str):
        path = tmp_path / "ours.conf"
        path.write_text(text)
        path.chmod(0o640)
        return configuration.load(str(path), parameters)

    return loaded


def test_every_backend_of_ours_can_be_loaded_and_has_its_section():
    for name in plugins.OURS:
        assert {"prepare", "deliver"} <= set(dir(plugins.load(name)))
        assert name in settings.SECTIONS
        assert f"{name}.records" in settings.BY_KEY


def test_by_default_masakari_and_the_attributes_are_told(load):
    config = load("")
    assert config["report.backends"] == ("masakari", "attributes")
    assert connections.parties(config) == [(Recipient("masakari", acts=True, clears=False), False)]


def test_each_that_is_listed_is_told_as_its_section_says(load):
    config = load(
        "[report]\nbackends = webhook, vitrage, attributes, command, masakari, mistral\n"
        "[masakari]\nrecords = yes\n[webhook]\nacts = yes\n[command]\nacts = no\nrecords = yes\n"
    )
    assert connections.parties(config) == [
        (Recipient("webhook", True, True), True),
        (Recipient("vitrage", False, True), True),
        (Recipient("command", False, True), True),
        (Recipient("masakari", True, False), True),
        (Recipient("mistral", True, False), False),
    ]


@pytest.mark.parametrize(("word", "guess"), [("vitrag", "vitrage"), ("Mistral", "mistral"), ("web-hook", "webhook")])
def test_an_unknown_backend_is_refused_with_the_nearest_and_the_list(load, word, guess):
    every = "masakari, vitrage, mistral, webhook, command, attributes"
    with pytest.raises(ConfigurationError) as refused:
        load(f"[report]\nbackends = masakari, {word}\n")
    assert refused.value.why == f"unknown; did you mean {guess}? give a comma separated list of: {every}"
    with pytest.raises(ParameterError, match=f"parameter backends = .*did you mean {guess}"):
        load("", backends=word)


def test_a_word_like_nothing_is_refused_with_the_list_only(load):
    with pytest.raises(ConfigurationError, match="'\\\\x1b\\[31mzzzz': unknown; give a comma separated list of: masa"):
        load("[report]\nbackends = \x1b[31mzzzz\n")


def test_another_packages_backend_is_known_by_its_entry_point_with_its_section_as_it_stands(load, package):
    package()
    config = load("[report]\nbackends = masakari, pager\n[pager]\nnumber = 555\nTimeout = 4\n")
    assert config.foreign == {"pager": {"number": "555", "Timeout": "4"}}
    assert connections.parties(config)[1] == (Recipient("pager", acts=True, clears=False), False)
    assert connections.options(config, "pager")["timeout"] == 15


def test_what_another_packages_backend_is_told_is_said_in_its_section(load, package):
    package()
    config = load("[report]\nbackends = pager\n[pager]\nacts = no\ncleared = yes\nrecords = yes\ntimeout = 4\n")
    assert connections.parties(config) == [(Recipient("pager", acts=False, clears=True), True)]
    assert connections.options(config, "pager")["timeout"] == 4


def test_its_section_is_shown_without_values_since_any_may_be_a_secret(load, package):
    package()
    shown = configuration.show(load("[pager]\nnumber = 555-secret\n"))
    assert "# [pager], of another package:\n#   number = ****" in shown
    assert "555" not in shown


def test_a_file_with_its_section_that_everybody_may_read_is_warned_of(load, package, tmp_path):
    package()
    path = tmp_path / "open.conf"
    path.write_text("[pager]\nnumber = 555\n")
    path.chmod(0o644)
    assert any("holds pager and is open to everybody" in note for note in configuration.load(str(path)).notes)


def test_without_the_package_its_section_and_its_name_are_refused(load):
    with pytest.raises(ConfigurationError, match=r"\[pager\]: unknown section"):
        load("[pager]\nnumber = 555\n")
    with pytest.raises(ConfigurationError, match="'pager': unknown"):
        load("[report]\nbackends = pager\n")


def test_an_option_given_twice_in_its_section_is_refused(load, package):
    package()
    with pytest.raises(ConfigurationError, match=r"line 3: pager.number: given already"):
        load("[pager]\nnumber = 1\nnumber = 2\n")


def test_nobody_takes_the_place_of_one_of_ours(package):
    package("masakari = paging:Pager\nattributes = paging:Pager")
    assert plugins.others() == {}
    assert plugins.load("masakari").__module__ == "heartbeat.backends.masakari"


def test_a_damaged_distribution_hides_no_other(package):
    place = package()
    (place / "broken-1.dist-info").mkdir()
    (place / "broken-1.dist-info" / "entry_points.txt").write_bytes(b"[masakari_qga.backends\n\xff = \n===")
    assert plugins.others() == {"pager": "paging:Pager"}


def test_knowing_our_own_costs_no_reading_of_metadata():
    code = (
        "import sys; from heartbeat import settings\n"
        "settings.BY_KEY['report.backends'].parse('masakari, vitrage, attributes'); print(*sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    assert "importlib.metadata" not in ran.stdout.decode().split()


@pytest.fixture
def started(package, tmp_path, monkeypatch):
    """A sender of the other package's backend; its process finds the package, as it would in dist-packages."""
    place = package()
    child = tmp_path / "sender.py"
    child.write_text(
        f"import sys\nsys.path[:0] = [{str(ROOT)!r}, {str(place)!r}]\nfrom heartbeat import sender\nsender.main()\n"
    )
    monkeypatch.setattr(sender, "__file__", str(child))
    made = []

    def start(number: str) -> Sender:
        made.append(Sender({"number": number, "timeout": 15}, "pager"))
        return made[-1]

    yield start
    for it in made:
        it.close()


def test_another_packages_backend_runs_in_a_process_of_its_own(started):
    pager = started("555")
    assert pager.prepare() is None
    assert pager.deliver(REPORT) == Delivered("555")
    assert "paging" not in sys.modules


def test_an_error_in_another_packages_backend_is_told_and_ends_nothing(started):
    pager = started("broken")
    for _ in range(2):
        outcome = pager.deliver(REPORT)
        assert (outcome.uncertain, outcome.whole) == (True, False)
        assert outcome.reason.startswith("backend pager fails: KeyError(")


def test_another_packages_backend_that_does_not_begin_names_its_section(started):
    outcome = started("none").prepare()
    assert (outcome.after, outcome.whole, outcome.uncertain) == (60.0, True, False)
    assert "cannot be begun: ValueError('number = none'); check its section" in outcome.reason.replace("\\", "")


def test_a_package_that_has_gone_is_named(monkeypatch):
    pager = Sender({"timeout": 15}, "pager")
    assert "no package registers pager" in pager.prepare().reason
    pager.close()
