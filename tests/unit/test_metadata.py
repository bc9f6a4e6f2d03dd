"""The meta-data, held to every schema that somebody checks it against."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from lxml import etree

from heartbeat import settings
from qga_ra import metadata
from qga_ra.agent import ACTIONS
from qga_ra.parameters import TABLE

DTD = Path("/usr/share/resource-agents/ra-api-1.dtd")
PCS = Path("/usr/share/pcs/data/ocf-1.1.rng")


@pytest.fixture
def tree() -> etree._Element:
    return etree.fromstring(metadata.document().encode())


def test_ocf_tester_finds_it_valid():
    """Against the DTD of OCF 1.0, widened by the document itself; xmllint reads the DTD from beside the document."""
    assert shutil.which("xmllint")
    run = subprocess.run(
        ["xmllint", "--noout", "--valid", "-"],
        input=metadata.document().encode(),
        cwd=DTD.parent,
        capture_output=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, b"")


def test_lxml_finds_it_valid_too():
    parser = etree.XMLParser(dtd_validation=True, no_network=True)
    parser.resolvers.add(FromResourceAgents())
    etree.fromstring(metadata.document().encode(), parser)


class FromResourceAgents(etree.Resolver):
    def resolve(self, url, public_id, context):
        return self.resolve_filename(str(DTD.parent / Path(url).name), context)


def test_pcs_finds_it_valid(tree):
    schema = etree.RelaxNG(etree.parse(str(PCS)))
    schema.assertValid(tree)


def test_every_parameter_is_described_with_the_default_that_holds(tree):
    found = {parameter.get("name"): parameter for parameter in tree.find("parameters")}
    assert set(found) == {"config", *settings.PARAMETERS}
    for name, parameter in found.items():
        option = TABLE[name]
        assert [child.tag for child in parameter] == ["longdesc", "shortdesc", "content"]
        assert parameter.find("content").get("default") == option.text(option.default)
        assert option.parse(parameter.find("content").get("default")) == option.default
        assert parameter.get("reloadable") == ("1" if option.reloadable else "0")
        assert all(child.get("lang") == "en" and child.text for child in parameter[:2])
        assert len(parameter.find("shortdesc").text) < 100


def test_no_secret_is_a_parameter():
    assert not [name for name, option in TABLE.items() if option.secret]
    assert not {"password", "passwd", "user"} & set(TABLE), "Pacemaker leaves these out of its digests, unasked"


def test_every_action_is_advertised_with_a_timeout_and_exists(tree):
    found = {action.get("name"): dict(action.attrib) for action in tree.find("actions")}
    assert set(found) == set(ACTIONS)
    assert all(action["timeout"].endswith("s") for action in found.values())
    assert found["monitor"] == {"name": "monitor", "timeout": "20s", "interval": "10s", "depth": "0"}


def test_a_description_cannot_break_the_document(monkeypatch):
    nasty = settings.Option("watch", "x", "string", '"<&>', reason="a < b & c > d \" ]]>. More", parameter="x")
    monkeypatch.setattr(metadata, "TABLE", {"x": nasty})
    parameter = etree.fromstring(metadata.document().encode()).find("parameters/parameter")
    assert parameter.find("shortdesc").text == "a < b & c > d \" ]]>"
    assert parameter.find("content").get("default") == '"<&>'
