"""One signed document to an address of the operator's. Runs in a process of its own: see heartbeat/sender.py.

The headers are those of the Standard Webhooks specification, for which receivers have libraries: webhook-id, the same
for every attempt, so that the receiver can pass over a repetition; webhook-timestamp, when this attempt was made, so
that it can refuse what somebody recorded; webhook-signature, over id, timestamp and body. The body is the same, byte
for byte, for every attempt.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import requests

from heartbeat import __version__
from heartbeat.backends import SLOW, Delivered, Later, Outcome, Report
from heartbeat.backends.answers import Answer, said, trouble, utc
from heartbeat.backends.causes import body, unanswered

MIN_KEY = 16  # characters
PREFIX = "whsec_"
WHO = "the webhook"


class Webhook:
    """options: url, key, cafile, timeout. wall: the time for people, which the receiver compares with its own."""

    def __init__(self, options: Mapping[str, Any], wall: Callable[[], datetime] = utc) -> None:
        self._options, self._wall = options, wall
        self._http = requests.Session()
        self._http.trust_env = False  # neither root's .netrc nor a proxy of whoever started the cluster

    def prepare(self) -> Later | None:
        """Without a key nothing is sent: a receiver that believed it would believe anybody."""
        if not str(self._options["url"]).startswith(("https://", "http://")):
            return Later("set webhook.url to an address with https://", SLOW, whole=True)
        if len(self._options["key"]) < MIN_KEY:
            return Later(f"set webhook.key to at least {MIN_KEY} characters", SLOW, whole=True)
        if _key(self._options["key"]) is None:
            return Later(f"webhook.key is not base64 after {PREFIX}", SLOW, whole=True)
        return None

    def deliver(self, report: Report) -> Outcome:
        refusal = self.prepare()
        if refusal:
            return refusal
        content = json.dumps(report.document(), separators=(",", ":"), sort_keys=True).encode()
        stamp = str(int(self._wall().timestamp()))
        headers = {
            "Content-Type": "application/json",
            "Accept-Encoding": "identity",
            "User-Agent": f"masakari-qga/{__version__}",
            "webhook-id": report.key,
            "webhook-timestamp": stamp,
            "webhook-signature": signature(self._options["key"], report.key, stamp, content),
        }
        try:
            response = self._http.post(
                self._options["url"], data=content, headers=headers, timeout=self._options["timeout"],
                verify=self._options["cafile"] or True, allow_redirects=False, stream=True,
            )  # fmt: skip
        except Exception as error:
            return unanswered(WHO, error, "webhook.cafile", "webhook.url")
        try:
            answer = Answer(response.status_code, _message(body(response)), response.headers.get("Retry-After"))
        finally:
            response.close()
        return self._meaning(answer, response.headers.get("Content-Type", ""))

    def _meaning(self, answer: Answer, kind: str) -> Outcome:
        if 200 <= answer.status < 300:
            if kind.partition(";")[0].strip().lower() == "text/html":
                why = f"{WHO} answers {answer.status} with a page for people; check webhook.url"
                return Later(why, SLOW, uncertain=True, whole=True)
            return Delivered("")
        remedy = ""
        if answer.status in (401, 403):
            remedy = "; check that webhook.key is the receiver's, and the clock of this node"
        elif answer.status < 400 or answer.status in (404, 405, 410):
            remedy = "; check webhook.url"
        if answer.status == 409:  # it has this id
            return Delivered("")
        if answer.status < 400:
            return Later(said(WHO, answer) + remedy, SLOW, whole=True)
        return trouble(WHO, answer, self._wall(), remedy)


def signature(key: str, identity: str, stamp: str, content: bytes) -> str:
    secret = _key(key)
    assert secret is not None
    signed = f"{identity}.{stamp}.".encode() + content
    return "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()


def _key(text: str) -> bytes | None:
    if not text.startswith(PREFIX):
        return text.encode()
    try:
        return base64.b64decode(text[len(PREFIX) :], validate=True)
    except (binascii.Error, ValueError):
        return None


def _message(document: Any) -> str:
    found = (document.get("error") or document.get("message")) if isinstance(document, dict) else None
    return found if isinstance(found, str) else ""
