"""One round with Nova, by the real process over real HTTP: a whole answer, or no opinion."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from heartbeat.backends.nova import answer
from heartbeat.expectation import DELETED, Answer, Question
from heartbeat.message import Heard, Unheard
from heartbeat.nova import SLOWEST, SPREAD, Nova, Unusable, Wanted, pace, understood
from heartbeat.terms import Wish
from tests.harness.credentials import sender_options
from tests.harness.endpoint import Endpoint
from tests.harness.nova import DETAIL, SHOW
from tests.harness.nova import Nova as Cloud
from tests.harness.observations import OTHER, UUID
from tests.harness.wait import until

HERE, ALL = "compute1", Question("", ())


@pytest.fixture
def keystone():
    with Endpoint(hosts=(HERE,)) as endpoint:
        yield endpoint


@pytest.fixture
def cloud():
    with Cloud((HERE, "compute2"), port=0) as cloud:
        yield cloud


@pytest.fixture
def asking(keystone):
    """The client, against any address; what it wants; and what it posts."""
    def asking(address: str, timeout: int = 5) -> tuple[Nova, Wanted, list]:
        options = sender_options(keystone.auth_url, timeout, endpoint=address)
        posted: list = []
        wanted = Wanted(options, HERE, "HA_Enabled", 30.0)
        return Nova(wanted, lambda: ALL, posted.append), wanted, posted
    return asking


@pytest.fixture
def round_of(asking, cloud):
    """The answer of a round with our Nova: what its process would do, in this one, since that is quicker."""
    wanted = asking(cloud.url)[1]

    def round_of(question: Question = ALL) -> Answer:
        return understood("\n".join(json.dumps(it) for it in said(wanted, question)), question, 0.0)[0]
    return round_of


@pytest.fixture
def ask(asking, cloud):
    """What a round with our Nova brings, by the process."""
    nova, wanted, posted = asking(cloud.url)

    def ask(question: Question = ALL):
        nova._question = lambda: question
        nova.round(wanted)
        return posted[-1]
    return ask


def said(wanted: Wanted, question: Question) -> list[dict]:
    return list(answer({"options": wanted.options, "host": HERE, "key": "HA_Enabled", "auth": "",
                        **question._asdict()}))


def refused(wanted: Wanted, singles: tuple[str, ...] = ()) -> str:
    """Why a round brings nothing."""
    (last,) = said(wanted, Question("", singles))
    return last["later"]


def answered(message: object):
    assert isinstance(message, Heard), message
    return message.answer


def test_it_says_of_each_server_of_this_host_what_we_need_and_no_more(round_of, cloud):
    cloud.server(UUID, HERE, task_state="rebooting", flavor="ha.small", specs={"masakari:qga": "yes", "hw:x": "1"},
                 metadata={"HA_Enabled": "True", "masakari_qga_action": "record", "secret": "s3cret",
                           "masakari:qga_checks": "web, a-queue-of-orders"})
    cloud.server(OTHER, "compute2")
    (server,) = round_of().servers
    assert server[:5] == (UUID, HERE, "active", "rebooting", True)
    wishes = Wish(action="record", checks=("web", "a-queue-of-orders"))
    assert server.consent == (True, wishes, "ha.small", Wish(True))


@pytest.mark.parametrize(("value", "enabled"), [
    ("True", True), ("t", True), ("1", True), ("False", False), ("maybe", False), ("", False), (None, None),
])  # fmt: skip
def test_metadata_opt_in_with_the_values_that_masakari_takes(round_of, cloud, value, enabled):
    cloud.server(UUID, HERE, metadata={} if value is None else {"HA_Enabled": value})
    assert round_of().servers[0].consent.enabled is enabled


def test_many_servers_come_page_by_page_whatever_the_pages_size(round_of, cloud):
    for _ in range(450):
        cloud.server(host=HERE)
    cloud.page = 100  # less than we ask for, as osapi_max_limit may want
    assert len(round_of().servers) == 450
    assert [it.what for it in cloud.requests] == [DETAIL] * 5


def test_between_whole_lists_only_what_has_changed_is_sent(round_of, cloud):
    for number in (UUID, OTHER):
        cloud.server(number, HERE)
    first = round_of()
    assert (first.whole, len(first.servers)) == (True, 2)
    late = round_of(Question("2999-01-01T00:00:00Z", ()))
    assert (late.whole, late.servers) == (False, ())
    cloud.servers[UUID].deleted = True
    assert {it.vm_state for it in round_of(Question(first.date, ())).servers} == {"deleted", "active"}


def test_one_server_is_asked_for_wherever_it_is_and_one_that_nova_does_not_know_is_said_to_be_so(round_of, cloud):
    cloud.server(UUID, "compute2")
    moved, unknown = round_of(Question("", (UUID, OTHER))).singles
    assert (moved.host, moved.vm_state) == ("compute2", "active")
    assert (unknown.uuid, unknown.host, unknown.vm_state) == (OTHER, "", DELETED)


def test_keystone_is_asked_once_for_many_rounds(ask, keystone):
    for _ in range(3):
        answered(ask())
    assert keystone.logins == 1


def test_a_token_that_was_revoked_is_replaced_within_the_round(ask, cloud, keystone):
    answered(ask())
    keystone.revoke()
    cloud.fail(DETAIL, 401, 1)
    answered(ask())
    assert keystone.logins == 2


def test_with_a_good_token_nobody_asks_keystone_whether_it_is_there(ask, keystone):
    answered(ask())
    keystone.refuse()
    answered(ask())


def test_a_keystone_that_wants_a_token_for_its_versions_is_no_opinion_and_keeps_nobody(asking, cloud):
    nova, wanted, posted = asking(cloud.url)
    with speaking(401, b"{}") as address:
        wanted.options["auth"]["auth_url"] = address
        assert nova.round(wanted) is False
    assert "Keystone: no versions of its API found; check masakari.auth_url" in posted[0].why


@pytest.mark.parametrize(("what", "status", "why"), [
    (DETAIL, 500, "Nova answers 500"), (DETAIL, 503, "Nova answers 503"), (DETAIL, 403, "give masakari.username the"),
    (SHOW, 500, "Nova answers 500"), (SHOW, 403, "the role admin"),
])  # fmt: skip
def test_an_error_at_any_point_of_the_round_is_no_opinion(asking, cloud, what, status, why):
    cloud.server(UUID, HERE)
    cloud.fail(what, status)
    assert why in refused(asking(cloud.url)[1], (UUID,))


def test_no_opinion_is_what_the_helper_hears_of_it(ask, cloud):
    cloud.fail(DETAIL, 503)
    assert ask() == Unheard("Nova answers 503: 'made to fail'")


def test_a_list_that_breaks_off_after_its_first_page_is_no_opinion(asking, cloud):
    for _ in range(30):
        cloud.server(host=HERE)
    cloud.page = 10
    shown = cloud.answer
    cloud.answer = lambda method, path, query, body: (
        ("cut", "", (503, None)) if query.get("marker") else shown(method, path, query, body)
    )
    assert "Nova answers 503" in refused(asking(cloud.url)[1])


def test_wrong_credentials_and_a_keystone_that_is_away_are_no_opinion(asking, cloud, keystone):
    nova, wanted, posted = asking(cloud.url)
    wanted.options["auth"]["password"] = "wrong"
    assert nova.round(wanted) is False
    assert "Keystone refuses the credentials" in posted[0].why
    keystone.refuse()
    nova.round(wanted)
    assert "Keystone" in posted[1].why


SERVER = {"id": UUID, "OS-EXT-SRV-ATTR:host": HERE, "OS-EXT-STS:vm_state": "active", "OS-EXT-STS:task_state": None}


@contextmanager
def speaking(status: int, body: bytes):
    """A Nova that answers everything so."""
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/v2.1"
    server.shutdown()
    server.server_close()


def listing(*servers: object) -> bytes:
    return json.dumps({"servers": servers}).encode()


@pytest.mark.parametrize(("status", "body", "why"), [
    (200, b"<html><h1>It works!</h1></html>", "no JSON"), (200, b"", "no JSON"), (200, b"[]", "no list of servers"),
    (200, b'{"servers": null}', "no list of servers"), (200, b'{"servers": [1]}', "a server that is none"),
    (502, b"<html>bad gateway</html>", "Nova answers 502"), (200, b'{"servers": [' + b"[" * 100_000, "no JSON"),
    (200, listing(SERVER)[:-3], "was cut off"),
    (200, listing({**SERVER, "id": "not-a-uuid"}), "without a proper id"),
    (200, listing({**SERVER, "id": 5}), "without a proper id"),
    (200, listing({name: it for name, it in SERVER.items() if "host" not in name}), "the role admin"),
    (200, listing({"id": UUID, "status": "UNKNOWN", "links": []}), "the role admin"),
    (200, listing({**SERVER, "OS-EXT-STS:vm_state": "<script>"}), "a state that is none"),
    (200, listing({**SERVER, "OS-EXT-STS:vm_state": None}), "a state that is none"),
    (200, listing({**SERVER, "OS-EXT-STS:task_state": ["x"]}), "a state that is none"),
    (200, listing({**SERVER, "OS-EXT-SRV-ATTR:host": 7}), "a host that is none"),
    (200, listing({**SERVER, "OS-EXT-SRV-ATTR:host": "compute2"}), "servers of other hosts"),
    (200, listing(SERVER, SERVER), "repeat themselves"),
    (302, b"", "302"),
], ids=lambda it: str(it)[:40])  # fmt: skip
def test_html_halves_and_nonsense_are_no_opinion(asking, status, body, why):
    with speaking(status, body) as address:
        assert why in refused(asking(address)[1])


def test_metadata_of_any_size_and_kind_stay_outside(asking):
    metadata = {**{f"k{number}": "v" * 255 for number in range(2000)}, "masakari:qga": 5, "HA_Enabled": ["True"]}
    odd = {**SERVER, "metadata": metadata, "flavor": "small", "host_status": 7}
    with speaking(200, listing(odd)) as address:
        nova, wanted, posted = asking(address)
        nova.round(wanted)
    (server,) = answered(posted[0]).servers
    assert (server.consent, server.up) == ((None, Wish(), "", Wish()), None)


def test_a_nova_where_nobody_listens_is_no_opinion(asking):
    nova, wanted, posted = asking("http://127.0.0.1:9/v2.1")
    nova.round(wanted)
    assert "Nova cannot be reached: connection refused" in posted[0].why


def test_a_process_that_ended_in_between_or_says_nonsense_is_no_opinion():
    half = json.dumps({"server": {"uuid": UUID}})
    short = '{"end": {"servers": 1, "singles": 0, "date": "", "auth": ""}}'
    for lines in ("", "{", '{"end": {}}', short, half, "5", "[]"):
        with pytest.raises(Unusable):
            understood(lines, ALL, 0.0)


def test_rounds_come_at_other_times_on_each_host_and_seldom_while_nobody_answers():
    assert [pace(60, -1, chance) for chance in (0, 0.5, 1)] == [0, 30, 60]
    assert [pace(60, 0, chance) for chance in (0, 0.5, 1)] == [60 * (1 - SPREAD), 60, 60 * (1 + SPREAD)]
    assert [pace(60, failures, 0.5) for failures in (1, 2, 3, 99)] == [120, 240, 480, SLOWEST]


def test_the_thread_asks_by_itself_until_it_is_stopped_and_leaves_no_process(asking, cloud):
    nova, wanted, posted = asking(cloud.url)
    nova._wanted, nova._chance = wanted._replace(interval=0.2), lambda: 0.5
    nova.start()
    until(lambda: len(posted) > 1, "two rounds")
    nova.stop()
    assert not nova._thread.is_alive()
    assert all(isinstance(it, Heard) for it in posted)
    ours = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()
    assert not [it for it in ours if b"backends/nova.py" in Path(f"/proc/{it}/cmdline").read_bytes()]


def test_one_that_is_turned_off_asks_nobody_until_it_is_turned_on(asking, cloud):
    nova, wanted, posted = asking(cloud.url)
    nova.configure(None)
    nova.start()
    nova.configure(wanted._replace(interval=0.2))
    until(lambda: posted, "a round")
    nova.stop()
    assert isinstance(posted[0], Heard)
