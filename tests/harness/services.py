"""The processes of Keystone and Masakari in a cell, their configuration and databases.

Installed by tests/openstack/install.sh. The ports are the services' own: a cell has a network to itself.
"""
from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
from pathlib import Path

import requests

from tests.harness import cell
from tests.harness.helper import ini
from tests.harness.wait import until

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / "build/openstack"
SERVERS = ROOT / "tests/openstack"
IDENTITY = "http://127.0.0.1:5000/v3"
MASAKARI = "http://127.0.0.1:15868/v1"
REGION, PROJECT, PASSWORD = "RegionOne", "service", "secret"


class Services:
    """folder: databases, configuration and logs; they outlive it.

    What Masakari waits for is shortened where only the wait would grow: it looks again at `error` every 3 s, not 120;
    gives a guest 8 s to stop and to start, not 180 and 60; its API waits 5 s for its engine, not 60, and does not sleep
    for a random time, up to 5 s, before it stores.
    """

    def __init__(self, folder: Path) -> None:
        cell.required()
        if not (VENV / "installed").exists():
            raise RuntimeError(f"{VENV} is not there; run tests/openstack/install.sh first, outside of the cell")
        self.folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        """"keystone", "masakari", or "masakari without engine"; they know what they knew when they were stopped."""
        if name == "keystone":
            self._spawn(name, "keystone_server.py", "5000")
            self._wait(name, IDENTITY)
        else:
            words = ["--without-engine"] if "without" in name else []
            self._spawn("masakari", "masakari_server.py", *words, "--config-file", self._path("masakari.conf"))
            self._wait("masakari", MASAKARI.replace("/v1", "/healthcheck"))

    def stop(self, name: str) -> None:
        """Killed, as a node that fails would."""
        process = self._processes.pop(name)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def close(self) -> None:
        for name in list(self._processes):
            self.stop(name)

    def log(self, name: str = "masakari") -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def install(self) -> None:
        """Configuration and databases, and Keystone's first user: admin, of project admin, with PASSWORD."""
        (self.folder / "keystone.conf").write_text(ini(self._keystone()))
        (self.folder / "masakari.conf").write_text(ini(self._masakari()))
        manage = ("keystone-manage", "--config-file", self._path("keystone.conf"))
        self._run(*manage, "db_sync")
        for kind in ("fernet", "credential"):
            (self.folder / kind).mkdir(mode=0o700)
            self._run(*manage, f"{kind}_setup", "--keystone-user", "root", "--keystone-group", "root")
        addresses = [word for name in ("public", "internal", "admin") for word in (f"--bootstrap-{name}-url", IDENTITY)]
        self._run(*manage, "bootstrap", "--bootstrap-password", PASSWORD, "--bootstrap-region-id", REGION, *addresses)
        self._run("masakari-manage", "--config-file", self._path("masakari.conf"), "db", "sync")
        for name in ("keystone", "masakari", "taskflow"):
            # Without a write-ahead log a reader locks a writer out, and the service answers with an error.
            with contextlib.closing(sqlite3.connect(self.folder / f"{name}.sqlite")) as database:
                database.execute("PRAGMA journal_mode=WAL")

    def _keystone(self) -> dict[str, dict[str, object]]:
        keys = {"key_repository": self._path("fernet")}
        return {
            "DEFAULT": {"log_file": self._path("keystone.log")},
            "database": {"connection": self._database("keystone"), "sqlite_synchronous": False},
            "fernet_tokens": keys,
            "fernet_receipts": keys,
            "credential": {"key_repository": self._path("credential")},
            "cache": {"enabled": True, "backend": "dogpile.cache.memory"},
            "identity": {"password_hash_rounds": 4},
        }

    def _masakari(self) -> dict[str, dict[str, object]]:
        way = {"auth_url": IDENTITY, "auth_type": "password", "project_domain_name": "Default",
               "user_domain_name": "Default", "project_name": PROJECT, "username": "masakari", "password": PASSWORD,
               "region_name": REGION, "www_authenticate_uri": IDENTITY, "token_cache_time": -1}
        return {
            "DEFAULT": {
                "log_file": self._path("masakari.log"), "state_path": self.folder, "transport_url": "fake://",
                "auth_strategy": "keystone", "masakari_api_listen": "127.0.0.1", "masakari_api_listen_port": 15868,
                "masakari_api_workers": 1, "use_ssl": False,
                "os_privileged_user_name": "masakari", "os_privileged_user_password": PASSWORD,
                "os_privileged_user_tenant": PROJECT, "os_privileged_user_auth_url": IDENTITY,
                # SQLite compares names exactly: not "default"
                "os_user_domain_name": "Default", "os_project_domain_name": "Default", "os_region_name": REGION,
                "nova_catalog_admin_info": "compute:nova:publicURL", "notification_delay_max": 0,
                "process_unfinished_notifications_interval": 3,
                "periodic_fuzzy_delay": 0, "rpc_response_timeout": 5,
                "wait_period_after_power_off": 8, "wait_period_after_power_on": 8},
            "database": {"connection": self._database("masakari"), "sqlite_synchronous": False},
            "taskflow": {"connection": self._database("taskflow")},
            "wsgi": {"api_paste_config": VENV / "etc/masakari/api-paste.ini"},
            "oslo_concurrency": {"lock_path": self.folder},
            "oslo_messaging_notifications": {"driver": "noop"},
            "keystone_authtoken": way,
        }

    def _database(self, name: str) -> str:
        return f"sqlite:///{self.folder}/{name}.sqlite"

    def _path(self, name: str) -> str:
        return str(self.folder / name)

    def _run(self, command: str, *words: str) -> None:
        ran = subprocess.run([VENV / "bin" / command, *words], env=self._environment(), cwd=self.folder,
                             stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
        if ran.returncode:
            raise RuntimeError(f"{command} {' '.join(words)} ended with status {ran.returncode}: {ran.stderr[-2000:]}")

    def _spawn(self, name: str, script: str, *words: str) -> None:
        with (self.folder / f"{name}.out").open("ab") as out:
            self._processes[name] = subprocess.Popen(
                [VENV / "bin/python", SERVERS / script, *words], env=self._environment(), cwd=self.folder,
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)

    def _wait(self, name: str, url: str) -> None:
        def answers() -> bool:
            if self._processes[name].poll() is not None:
                raise RuntimeError(f"{name} ended: see {name}.log and {name}.out in {self.folder}")
            return requests.get(url, timeout=10).status_code < 500
        until(answers, f"{name} to answer", 60, 0.1, despite=(requests.ConnectionError, requests.Timeout))

    def _environment(self) -> dict[str, str]:
        return {"PATH": f"{VENV}/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(self.folder), "LANG": "C.UTF-8",
                "OS_KEYSTONE_CONFIG_DIR": str(self.folder), "PYTHONWARNINGS": "ignore"}
