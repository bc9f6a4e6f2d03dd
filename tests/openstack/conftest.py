"""One cloud for all tests here: some 10 s, and a process each for Keystone and Masakari."""
from __future__ import annotations

import pytest

from tests.harness.cloud import Cloud


def pytest_addoption(parser):
    parser.addoption("--write-pages", action="store_true", help="rewrite docs/masakari-*.rst with what is seen")


@pytest.fixture(scope="session")
def cloud(tmp_path_factory):
    with Cloud(tmp_path_factory.mktemp("cloud")) as it:
        yield it


@pytest.fixture(scope="session")
def compare_page(request):
    """Compares a committed page with what it should say now, or writes it, if that was asked for."""
    def compare(path, text):
        if request.config.getoption("--write-pages"):
            path.write_text(text, encoding="utf-8")
        assert path.read_text(encoding="utf-8") == text, f"{path.name}: make openstack ARGS=--write-pages, and look"
    return compare
