"""One notification to Masakari. Runs in a process of its own: see heartbeat/sender.py."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

import keystoneauth1.exceptions as failures
import requests
from keystoneauth1 import loading
from keystoneauth1.session import Session
from requests.packages.urllib3.exceptions import NewConnectionError

from heartbeat import __version__
from heartbeat.backends import Later, Outcome, Report
from heartbeat.backends.answers import SLOW, Answer, meaning, seconds
from heartbeat.incident import QEMU_DIED
from heartbeat.settings import printable

SERVICE_TYPE = "instance-ha"
# The engine acts on exactly these pairs of event and vir_domain_event, and on no others that we could mean.
QEMU_DIED_EVENT = ("LIFECYCLE", "STOPPED_FAILED")
GUEST_EVENT = ("QEMU_GUEST_AGENT_ERROR", "STOPPED_FAILED")
# Keystone may lock a user whose password was wrong too often.
WRONG_CREDENTIALS_SECONDS = 300.0
MAX_BODY = 65536


def _now() -> datetime:
    return datetime.now(timezone.utc)


class Masakari:
    """A session with Keystone and Masakari.

    options: what sender.connection() makes of the configuration. wall: the time for people, which Masakari compares.
    """

    def __init__(self, options: Mapping[str, Any], wall: Callable[[], datetime] = _now) -> None:
        self._options, self._wall = options, wall
        self._session: Session | None = None

    def prepare(self) -> Later | None:
        """A token and Masakari's address; both are kept while they are good. None: ready."""
        try:
            self._connect()
        except Exception as error:
            return self._unprepared(error)
        return None

    def deliver(self, report: Report) -> Outcome:
        """Sends one notification, once. The timeout bounds each wait for bytes; the parent bounds the whole."""
        try:
            session, endpoint = self._connect()
        except Exception as error:
            return self._unprepared(error)
        try:
            # What is read is bounded on the wire, so it must not be compressed.
            response = session.post(
                endpoint.rstrip("/") + "/notifications",
                json=notification(report),
                headers={"Accept": "application/json", "Accept-Encoding": "identity"},
                authenticated=True,
                raise_exc=False,
                redirect=False,
                log=False,
                stream=True,
            )
        except Exception as error:
            return self._unanswered(error)
        try:
            answer = Answer(response.status_code, _message(response), response.headers.get("Retry-After"))
            return meaning(answer, report, self._wall(), self._name)
        finally:
            response.close()

    def _connect(self) -> tuple[Session, str]:
        if self._session is None:
            self._session = _session(self._options)
        self._session.get_auth_headers()
        endpoint = self._options["endpoint"] or self._session.get_endpoint(
            service_type=SERVICE_TYPE, interface=self._options["interface"], region_name=self._options["region"] or None
        )
        if not endpoint:
            raise failures.EndpointNotFound()
        return self._session, str(endpoint)

    def _name(self, option: str) -> str:
        return str(self._options["names"].get(option, f"masakari.{option}"))

    def _unprepared(self, error: Exception) -> Later:
        """Nothing was sent to Masakari."""
        address = self._name("auth_url")
        who = f"{self._name('username')}, {self._name('password')} and {self._name('project_name')}"
        if isinstance(error, failures.Unauthorized):
            return Later(f"Keystone refuses the credentials; check {who}", WRONG_CREDENTIALS_SECONDS, whole=True)
        if isinstance(error, (failures.AuthPluginException, failures.MissingAuthMethods)):
            why = printable(str(error), 200)
            return Later(f"credentials are not complete: {why}; set {address}, {who}", SLOW, whole=True)
        if isinstance(error, failures.CatalogException):
            region = printable(self._options["region"]) if self._options["region"] else "any"
            interface = self._options["interface"]
            why = f"Keystone's catalogue has no {SERVICE_TYPE} endpoint with interface {interface}, region"
            return Later(f"{why} {region}; check these, or set masakari.endpoint", SLOW, whole=True)
        if isinstance(error, failures.HttpError):
            after = seconds(str(error.retry_after), self._wall()) if error.retry_after else None
            if error.http_status < 500:
                after = after or SLOW
            return Later(f"Keystone answers {error.http_status}; check {address}", after, whole=True)
        remedy = "masakari.cafile" if _refused_certificate(error) else address
        return Later(f"Keystone: {_cause(error)}; check {remedy}", whole=True)

    def _unanswered(self, error: Exception) -> Later:
        """Surely not accepted only if there surely never was a connection."""
        if _refused_certificate(error):
            return Later(f"Masakari: {_cause(error)}; check masakari.cafile", SLOW, whole=True)
        if any(isinstance(cause, (NewConnectionError, requests.exceptions.ConnectTimeout)) for cause in _causes(error)):
            why = f"Masakari cannot be reached: {_cause(error)}; check {self._name('endpoint')} or the catalogue"
            return Later(why, whole=True)
        return Later(f"Masakari does not answer: {_cause(error)}", uncertain=True, whole=True)


def notification(report: Report) -> dict[str, object]:
    """Masakari refuses a payload with any key besides these three, so no evidence can travel."""
    event, detail = QEMU_DIED_EVENT if report.verdict == QEMU_DIED else GUEST_EVENT
    content = {
        "type": "VM",
        "hostname": report.hostname,
        "generated_time": report.generated_time,
        "payload": {"event": event, "instance_uuid": report.uuid, "vir_domain_event": detail},
    }
    return {"notification": content}


def _session(options: Mapping[str, Any]) -> Session:
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


def _message(response: requests.Response) -> str:
    """What an answer of at most MAX_BODY says: an error's message, or a notification's uuid. "" if it says neither."""
    try:
        document = json.loads(response.raw.read(MAX_BODY, decode_content=False))
        content = next(iter(document.values()))
        said = content.get("message") or content.get("notification_uuid") or content.get("title")
    except Exception:  # the status alone has to do: the answer was cut off, is no JSON, or not Masakari's
        return ""
    return said if isinstance(said, str) else ""


def _refused_certificate(error: Exception) -> bool:
    return any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error))


def _cause(error: Exception) -> str:
    """The system's own words, which are the same at each repetition; the libraries' hold addresses of objects."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate is not accepted ({printable(cause.verify_message, 80)})"
        if isinstance(cause, (failures.ConnectTimeout, requests.exceptions.Timeout)):
            return "no answer in time"
        if isinstance(cause, OSError) and cause.strerror and not isinstance(cause, requests.RequestException):
            return cause.strerror.lower()
    return "no versions of its API found" if isinstance(error, failures.DiscoveryFailure) else type(error).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and all that stands behind it: requests and urllib3 also keep a cause in an argument."""
    seen: list[BaseException] = []
    queue: list[object] = [error]
    while queue:
        cause = queue.pop(0)
        if isinstance(cause, BaseException) and not any(cause is other for other in seen):
            seen.append(cause)
            yield cause
            queue += [cause.__cause__, cause.__context__, getattr(cause, "reason", None), *cause.args]
