"""A service of OpenStack that takes reports: a session with Keystone, the service's address, and requests to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keystoneauth1.exceptions as failures
import requests
from keystoneauth1 import loading
from keystoneauth1.session import Session

from heartbeat import __version__
from heartbeat.backends import SLOW, Later
from heartbeat.backends.answers import seconds, utc
from heartbeat.backends.causes import body, cause, refused_certificate, unanswered
from heartbeat.settings import printable

# Keystone may lock a user whose password was wrong too often.
WRONG_CREDENTIALS_SECONDS = 300.0
# Options that each service has for itself; the rest of them are Masakari's, for all.
OWN = frozenset({"endpoint", "timeout", "workflow"})


class Service:
    """One service, as our user sees it.

    options: from heartbeat.connections. kind: its type in Keystone's catalogue. who: its name for people. section: of
    the configuration.
    """

    def __init__(self, options: Mapping[str, Any], kind: str, who: str, section: str) -> None:
        self.options, self.kind, self.who, self._section = options, kind, who, section
        self.session: Session | None = None

    def prepare(self) -> Later | None:
        """A token and the service's address; both are kept while they are good. None: ready."""
        try:
            self._connect()
        except Exception as error:
            return self._unprepared(error)
        return None

    def post(self, path: str, document: object) -> tuple[int, Any, str | None] | Later:
        """Sends one request, once more with a new token if it refuses ours. The timeout bounds each wait for bytes; the
        parent bounds the whole. Gives the status, the JSON of the answer or NO_JSON, and its Retry-After or None."""
        return self._request("POST", path, {}, json=document)

    def get(self, path: str, version: str = "") -> tuple[int, Any, str | None] | Later:
        """As post. version: the microversion, for services that have any."""
        return self._request("GET", path, {"OpenStack-API-Version": f"{self.kind} {version}"} if version else {})

    def _request(
        self, method: str, path: str, headers: Mapping[str, str], **content: object
    ) -> tuple[int, Any, str | None] | Later:
        response = self._answered(method, path, headers, **content)
        if isinstance(response, Later):
            return response
        with response:
            return response.status_code, body(response), response.headers.get("Retry-After")

    def _answered(
        self, method: str, path: str, headers: Mapping[str, str], **content: object
    ) -> requests.Response | Later:
        """The answer, of which only the head has been read; its reader bounds and closes the rest."""
        try:
            session, endpoint = self._connect()
        except Exception as error:
            return self._unprepared(error)
        try:
            # What is read is bounded on the wire, so it must not be compressed.
            return session.request(
                endpoint.rstrip("/") + path,
                method,
                headers={"Accept": "application/json", "Accept-Encoding": "identity", **headers},
                authenticated=True,
                raise_exc=False,
                redirect=False,
                log=False,
                stream=True,
                **content,
            )
        except Exception as error:
            return unanswered(self.who, error, self.name("cafile"), f"{self.name('endpoint')} or the catalogue")

    def name(self, option: str) -> str:
        """Where the operator finds an option."""
        section = self._section if option in OWN else "masakari"
        return str(self.options["names"].get(option, f"{section}.{option}"))

    def _connect(self) -> tuple[Session, str]:
        if self.session is None:
            self.session = open_session(self.options)
        if not _admitted(self.session):
            _look(self.session, str(self.options["auth"].get("auth_url", "")))
        self.session.get_auth_headers()
        endpoint = self.options["endpoint"] or self.session.get_endpoint(
            service_type=self.kind, interface=self.options["interface"], region_name=self.options["region"] or None
        )
        if not endpoint:
            raise failures.EndpointNotFound()
        return self.session, str(endpoint)

    def _unprepared(self, error: Exception) -> Later:
        """Nothing was sent to the service."""
        address = self.name("auth_url")
        user = f"{self.name('username')}, {self.name('password')} and {self.name('project_name')}"
        if isinstance(error, failures.Unauthorized):
            return Later(f"Keystone refuses the credentials; check {user}", WRONG_CREDENTIALS_SECONDS, whole=True)
        if isinstance(error, (failures.AuthPluginException, failures.MissingAuthMethods)):
            why = printable(str(error), 200)
            return Later(f"credentials are not complete: {why}; set {address}, {user}", SLOW, whole=True)
        if isinstance(error, failures.CatalogException):
            region = printable(self.options["region"]) if self.options["region"] else "any"
            interface = self.options["interface"]
            why = f"Keystone's catalogue has no {self.kind} endpoint with interface {interface}, region {region}"
            return Later(f"{why}; check these, or set {self.name('endpoint')}", SLOW, whole=True)
        if isinstance(error, failures.HttpError):
            after = seconds(str(error.retry_after), utc()) if error.retry_after else None
            if error.http_status < 500:
                after = after or SLOW
            return Later(f"Keystone answers {error.http_status}; check {address}", after, whole=True)
        remedy = self.name("cafile") if refused_certificate(error) else address
        return Later(f"Keystone: {_cause(error)}; check {remedy}", whole=True)


def _cause(error: Exception) -> str:
    found = cause(error)
    if found == type(error).__name__ and isinstance(error, failures.DiscoveryFailure):
        return "no versions of its API found"
    return "no answer in time" if isinstance(error, failures.ConnectTimeout) else found


def _admitted(session: Session) -> bool:
    """Whether there is a token that will do, so that Keystone need not be asked."""
    known = getattr(session.auth, "auth_ref", None)
    return known is not None and not known.will_expire_soon(session.auth.MIN_TOKEN_LIFE_SECONDS)


def _look(session: Session, url: str) -> None:
    """Raises DiscoveryFailure where Keystone is not. keystoneauth1 itself, answered 401 to the question for versions,
    asks for a token in the midst of asking for one, and waits for itself for ever."""
    with session.get(url, authenticated=False, raise_exc=False, redirect=False, log=False, stream=True) as response:
        if response.status_code == 401:
            raise failures.DiscoveryFailure()


def open_session(options: Mapping[str, Any]) -> Session:
    """Raises what keystoneauth1 raises for credentials that are not complete. Sends nothing yet."""
    auth = dict(options["auth"])
    loader = loading.get_plugin_loader(auth.get("auth_type") or "password")

    def value(option: Any) -> str | None:
        names = [option.dest, *(old.dest for old in option.deprecated)]
        return next((auth[name] for name in names if auth.get(name)), None)

    http = requests.Session()
    http.trust_env = False  # neither root's .netrc nor a proxy of whoever started the cluster
    return Session(
        auth=loader.load_from_options_getter(value),
        session=http,
        verify=False if options["insecure"] else (options["cafile"] or True),
        cert=tuple(file for file in (options["certfile"], options["keyfile"]) if file) or None,
        timeout=options["timeout"],
        user_agent=f"masakari-qga/{__version__}",
    )
