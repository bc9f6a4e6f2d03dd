"""The two Python packages. Distributions put them in a private directory, /usr/lib/masakari-qga: `heartbeat` is too
general a name for site-packages, and the agent and the helper look for each other there.

    python3 setup.py install --install-lib /usr/lib/masakari-qga

The agent (ocf/qga) and the operator's command (qga_ra/masakari-qga) are not here: setuptools would rewrite their
interpreter line, and a resource agent belongs in /usr/lib/ocf, whatever the prefix.
"""
import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent
# Read, not imported: what the package imports need not be installed where it is built.
VERSION = re.search(r'^__version__ = "([^"]+)"$', (HERE / "heartbeat/__init__.py").read_text(encoding="utf-8"), re.M)[1]

setup(
    name="masakari-qga",
    version=VERSION,
    description="Pacemaker resource agent that reports failed guests to Masakari by asking their QEMU guest agents",
    license="Apache-2.0",
    python_requires=">=3.9",
    packages=find_packages(str(HERE), include=["qga_ra", "qga_ra.*", "heartbeat", "heartbeat.*"]),
    install_requires=["libvirt-python", "requests", "keystoneauth1"],
    extras_require={
        "metrics": ["prometheus_client"],
        "test": ["pytest", "pytest-subprocess", "hypothesis", "ruff", "mypy", "vermin"],
    },
    zip_safe=False,
)
