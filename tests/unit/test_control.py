"""The control socket: a ping is always answered, whatever else clients do."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import threading
import time

import pytest

from heartbeat import control as control_module
from heartbeat.control import Control, Refused

DEADLINE = 30.0


class Server(Control):
    """With handlers of each kind; `hang` does not return until `go` is set."""

    def __init__(self, path: str) -> None:
        self.path, self.progress = path, time.monotonic()
        self.go, self.hanging = threading.Event(), threading.Event()
        handlers = {
            "status": lambda request: {"state": "ok", "seen": request.get("x")},
            "hang": self._hang, "refuse": self._refuse,
            "fail": lambda _: {}["a key"], "mistype": lambda _: int([]), "late": self._late,
        }
        super().__init__(path, "1.2.3", lambda: self.progress, handlers)

    def _hang(self, _):
        self.hanging.set()
        assert self.go.wait(DEADLINE)
        return {"done": True}

    def _refuse(self, _):
        raise Refused("nothing was changed: the option is unknown")

    def _late(self, _):
        raise TimeoutError("the owner loop does not answer")

    def connect(self) -> socket.socket:
        client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        client.settimeout(DEADLINE)
        client.connect(self.path)
        return client

    def say(self, line: bytes) -> bytes:
        with self.connect() as client:
            client.sendall(line)
            return read(client)

    def ask(self, **request) -> dict:
        return json.loads(self.say(json.dumps(request).encode() + b"\n"))


def read(client: socket.socket) -> bytes:
    """Everything until the server closes."""
    data = b""
    try:
        while part := client.recv(65536):
            data += part
    except ConnectionResetError:  # it did not read all that we sent
        pass
    return data


@pytest.fixture
def server(tmp_path):
    server = Server(str(tmp_path / "control.sock"))
    yield server
    server.go.set()
    server.close()


def alive(server: Server) -> bool:
    return server.say(b"ping\n").startswith(b"alive ")


def test_a_ping_is_answered_with_the_age_of_the_last_progress(server):
    server.progress = time.monotonic() - 20
    word, age, version, pid = server.say(b"ping\n").decode().split()
    assert (word, version, pid) == ("alive", "1.2.3", str(os.getpid()))
    assert 20_000 <= int(age) < 60_000


def test_only_its_owner_may_connect(server):
    assert os.stat(server.path).st_mode & 0o777 == 0o600


def test_a_request_reaches_its_handler_and_its_reply_the_client(server):
    assert server.ask(do="status", x=[1]) == {"ok": True, "state": "ok", "seen": [1]}


def test_a_request_may_come_in_pieces_and_without_its_end(server):
    with server.connect() as client:
        for piece in (b'{"do": ', b'"sta', b'tus"}'):
            client.sendall(piece)
        client.shutdown(socket.SHUT_WR)
        assert json.loads(read(client))["ok"] is True


@pytest.mark.parametrize("line", [
    b"\n", b"pong\n", b"PING\n", b"{\n", b"null\n", b"[]\n", b'"status"\n', b"1\n", b'{"do": 1}\n', b'{"do": null}\n',
    b"{}\n",
    b'{"do": "unknown"}\n', b'{"do": ["status"]}\n', b'{"do": {"a": 1}}\n', b"\xff\xfe\x00\n", b"[" * 60_000 + b"\n",
    b'{"do": ' + b"1" * 9000 + b"}\n",
], ids=lambda line: repr(line[:20]))  # fmt: skip
def test_what_is_not_understood_is_answered_with_the_words_that_are(server, line):
    reply = json.loads(server.say(line))
    assert reply["ok"] is False
    assert "status, hang, refuse" in reply["error"]
    assert alive(server)


def test_a_request_that_is_too_long_is_cut_off_and_not_obeyed(server):
    with server.connect() as client:
        with contextlib.suppress(BrokenPipeError):  # it may have left while we were still sending
            client.sendall(b'{"do": "status", "x": "' + b"a" * 2 * control_module.REQUEST_SIZE + b'"}\n')
        assert b'"ok": true' not in read(client)
    assert alive(server)


@pytest.mark.parametrize("do", ["refuse", "late"])
def test_a_request_that_is_refused_says_why(server, do):
    reply = server.ask(do=do)
    assert reply["ok"] is False
    assert reply["error"] in ("nothing was changed: the option is unknown", "the owner loop does not answer")


@pytest.mark.parametrize("do", ["fail", "mistype"])
def test_a_handler_that_fails_is_our_fault_and_not_the_clients(server, do, caplog):
    reply = server.ask(do=do)
    assert "see the helper's log" in reply["error"]
    assert "a request failed" in caplog.text
    assert alive(server)


def test_a_ping_is_answered_while_a_request_hangs(server):
    with server.connect() as client:
        client.sendall(b'{"do": "hang"}\n')
        assert server.hanging.wait(DEADLINE)
        assert all(alive(server) for _ in range(5))
        server.go.set()
        assert json.loads(read(client)) == {"ok": True, "done": True}


def test_a_client_that_sends_nothing_is_let_go(server, monkeypatch):
    monkeypatch.setattr(control_module, "REQUEST_LIMIT", 0.05)
    with server.connect() as client:
        assert read(client) == b""
    assert alive(server)


def test_a_client_that_sends_forever_but_never_a_line_is_let_go(server, monkeypatch):
    """Each byte is in time; together they are not."""
    monkeypatch.setattr(control_module, "REQUEST_LIMIT", 0.2)
    stop = threading.Event()

    def drip(client: socket.socket) -> None:
        try:
            while not stop.wait(0.02):
                client.sendall(b"x")
        except OSError:
            pass

    with server.connect() as client:
        thread = threading.Thread(target=drip, args=(client,))
        thread.start()
        try:
            assert alive(server)
        finally:
            stop.set()
            thread.join()


def test_clients_that_go_away_in_the_middle_disturb_nobody(server):
    for line in (b"", b"pi", b"ping\n", b'{"do": "status"}\n', b'{"do": "fail"}\n'):
        with server.connect() as client:
            client.sendall(line)
    assert alive(server)


def test_where_no_thread_is_to_be_had_a_ping_is_answered_all_the_same(server, monkeypatch):
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert server.say(b'{"do": "status"}\n') == b""
    assert alive(server)


@pytest.mark.parametrize("what", ["socket", "file", "dangling link"])
def test_what_an_earlier_helper_left_at_its_path_is_replaced(tmp_path, what):
    path = tmp_path / "control.sock"
    if what == "socket":
        with socket.socket(socket.AF_UNIX) as old:
            old.bind(str(path))
    elif what == "file":
        path.write_text("x")
    else:
        path.symlink_to(tmp_path / "nowhere")
    server = Server(str(path))
    assert alive(server)
    server.close()
    assert not os.path.lexists(path)
