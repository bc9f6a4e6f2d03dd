"""Whether Keystone gives our user a token, and which part of it fails if it does not."""

from __future__ import annotations

from typing import Any

import keystoneauth1.exceptions as failures

from heartbeat.backends.conversation import Conversation, words
from heartbeat.backends.keystone import open_session
from heartbeat.settings import plain, printable

STEP = "token"
PASSWORDS = ("", "password", "v3password")  # plugins with which a user can be asked for without a project
SCOPE = ("project", "tenant", "system_scope", "domain_id", "domain_name", "default_domain_name")


def admitted(it: Conversation) -> str | None:
    """The roles of the token, which the conversation has from now on; None: there is none, and why has been said."""
    url = str(it.options["auth"].get("auth_url", ""))
    shown = printable(url, 120)[1:-1]
    it.stage(f"Keystone at {shown} was being asked for a token")
    try:
        it.session = open_session(it.options)
        objection = _objection(*it.read("Keystone", url, authenticated=False))
        if objection:
            it.fail(STEP, f"no Keystone at {shown}: {objection}", f"correct {it.name('auth_url')}: it ends in /v3")
            return None
        access = it.session.auth.get_access(it.session)
    except failures.Unauthorized:
        _refused(it, url)
    except (failures.AuthPluginException, failures.MissingAuthMethods, AttributeError) as error:
        names = ", ".join(it.name(option) for option in ("auth_url", "username", "password", "project_name"))
        it.fail(STEP, f"credentials are not complete: {printable(str(error), 200)}", f"set {names}")
    except failures.HttpError as error:
        it.fail(STEP, f"Keystone at {shown} answers {error.http_status}", "see Keystone's log")
    except Exception as error:
        if not it.blocked(STEP, "Keystone", url, it.name("auth_url")):
            text = f"Keystone at {shown} gives no token: {words(error)}"
            it.fail(STEP, text, f"see whether it answers, and check {it.name('auth_url')}")
    else:
        roles = ", ".join(plain(role, 40) for role in sorted(access.role_names)) or "none"
        user, project = plain(access.username or "?", 60), plain(access.project_name or "none", 60)
        it.ok(STEP, f"Keystone gives user {user} a token for project {project}; roles: {roles}")
        return roles
    return None


def offered(it: Conversation, kind: str) -> str:
    """Where the token's catalogue has services of this type, or else what it has, for people."""
    assert it.session is not None
    try:
        catalogue: Any = it.session.auth.get_access(it.session).service_catalog.catalog
        places = {f"{end.get('interface')} in {end.get('region')}" for service in catalogue
                  if service.get("type") == kind for end in service["endpoints"]}  # fmt: skip
        kinds = ", ".join(sorted({plain(str(service.get("type")), 40) for service in catalogue}))
    except Exception:
        return "nothing that is understood"
    return ", ".join(plain(place, 80) for place in sorted(places)) or f"only {plain(kinds, 200) or 'nothing'}"


def _objection(status: int, document: Any) -> str:
    """Why an answer to GET auth_url is none of Keystone's, or "". Looked at before keystoneauth1 does: answered 401
    there, it asks for a token in the middle of asking for a token, and waits for itself for ever."""
    if status not in (200, 300):
        return f"it answers {status}"
    if not isinstance(document, dict) or not {"version", "versions"} & set(document):
        return f"it answers {status} without any version of an API"
    return ""


def _refused(it: Conversation, url: str) -> None:
    """Keystone answers 401 to a wrong password, an unknown project and a user without a role alike. Without a project
    it is about the password only. That is one more refused login, of the few after which it may lock a user."""
    auth = {key: value for key, value in it.options["auth"].items() if not key.startswith(SCOPE)}
    user = printable(str(auth.get("username", "")), 60)[1:-1]
    project = plain(str(it.options["auth"].get("project_name") or "?"), 60)
    who = f"{it.name('username')}, {it.name('password')} and {it.name('user_domain_name')}"
    if auth.get("auth_type", "") not in PASSWORDS:
        it.fail(STEP, "401: Keystone refuses the credentials", f"correct those beside {it.name('auth_url')}")
        return
    it.stage("Keystone was being asked for a token without a project")
    it.session = open_session({**it.options, "auth": auth})
    try:
        it.session.auth.get_access(it.session)
    except failures.Unauthorized:
        text = f"401: Keystone refuses user {user}: wrong name, password or domain, or disabled, or locked"
        it.fail(STEP, text, f"correct {who}")
    except Exception as error:
        it.fail(STEP, f"401: Keystone refuses user {user} ({words(error)})", f"correct {who}")
    else:
        text = f"401: Keystone takes the password of user {user}, but not project {project}"
        text += f": it does not exist, or the user has no role on it{_projects(it, url)}"
        remedy = f"openstack role add --user {user} --project {project} admin"
        it.fail(STEP, text, f"{remedy}, or correct {it.name('project_name')}")


def _projects(it: Conversation, url: str) -> str:
    """Those on which the user has a role."""
    root = url.rstrip("/")
    root = root if root.endswith("/v3") else root + "/v3"
    try:
        _, document = it.read("Keystone", root + "/auth/projects")
        names = [plain(str(project["name"]), 60) for project in document["projects"]]
    except Exception:
        return ""
    return "; it has one on " + (", ".join(names[:5]) or "none at all")
