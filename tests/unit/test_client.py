"""The control socket from the asking side: whoever listens there, the agent gets an answer or a reason in time."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from pathlib import Path

import pytest

from qga_ra.client import Refused, Unanswered, ask, ping


@pytest.fixture
def answering(tmp_path: Path):
    """A server that answers each connection with the same bytes, in the given pieces, after reading one line."""
    listener = socket.socket(socket.AF_UNIX)
    path = str(tmp_path / "control.sock")
    heard: list[bytes] = []
    threads: list[threading.Thread] = []

    def serve(*pieces: bytes, close: bool = True) -> str:
        listener.bind(path)
        listener.listen()

        def work() -> None:
            kept = []
            while True:
                try:
                    connection = listener.accept()[0]
                except OSError:
                    break
                with connection.makefile("rb") as lines:
                    heard.append(lines.readline())
                for piece in pieces:
                    connection.sendall(piece)
                kept.append(connection)
                if close:
                    connection.close()
            for connection in kept:
                connection.close()

        threads.append(threading.Thread(target=work))
        threads[0].start()
        return path

    serve.heard = heard
    yield serve
    listener.shutdown(socket.SHUT_RDWR)
    threads[0].join(10)
    listener.close()


def test_a_ping_brings_age_version_and_pid(answering):
    assert ping(answering(b"alive 12 0.1.0 77\n")) == (12, "0.1.0", 77)
    assert answering.heard == [b"ping\n"]


def test_a_reply_may_come_in_pieces(answering):
    assert ask({"do": "status"}, answering(b'{"ok": tr', b'ue, "state": "ok"}\n')) == {"state": "ok"}
    assert json.loads(answering.heard[0]) == {"do": "status"}


def test_a_refusal_carries_the_helpers_own_words(answering):
    with pytest.raises(Refused, match="interval is too short"):
        ask({"do": "reload"}, answering(b'{"ok": false, "error": "interval is too short"}\n'))


@pytest.mark.parametrize("reply", [b"\n", b"[]\n", b"{}\n", b'{"ok": 1}\n', b"\xff\n", b"[" * 100_000 + b"\n"])
def test_a_reply_that_is_not_understood_is_no_answer(answering, reply):
    with pytest.raises(Unanswered, match="not understood"):
        ask({"do": "status"}, answering(reply))


@pytest.mark.parametrize("reply", [b"alive x 0 1\n", b"alive 1 0\n", b"dead 1 0 1\n", b"alive -1 0 1\n", b"\n"])
def test_garbage_is_no_sign_of_life(answering, reply):
    with pytest.raises(Unanswered) as failure:
        ping(answering(reply))
    assert not failure.value.absent


def test_a_reply_without_end_is_cut_off(answering):
    with pytest.raises(Unanswered, match="too long"):
        ping(answering(b"alive " + b"1" * 1000))


def test_a_helper_that_hangs_up_is_named(answering):
    with pytest.raises(Unanswered, match="broke off"):
        ping(answering(b"alive 1"))


def test_a_helper_that_never_answers_costs_no_more_than_our_patience(answering):
    with pytest.raises(Unanswered, match="stopped or stuck") as failure:
        ping(answering(close=False), patience=0.2)
    assert not failure.value.absent


def test_a_full_queue_of_connections_is_waited_for_and_no_proof_of_absence(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(str(tmp_path / "s"))
        listener.listen(0)
        first.connect(str(tmp_path / "s"))
        with pytest.raises(Unanswered, match="stopped or stuck") as failure:
            ping(str(tmp_path / "s"), patience=0.2)
        assert not failure.value.absent


def test_nobody_there_is_told_apart_from_nobody_answering(tmp_path):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
    for path in (tmp_path / "s", tmp_path / "none", tmp_path / "s" / "x"):
        with pytest.raises(Unanswered) as failure:
            ping(str(path))
        assert failure.value.absent


def test_a_sign_of_life_needs_nothing_but_the_bare_interpreter():
    """Whatever a monitor imports, each compute node pays for every ten seconds."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); old = set(sys.modules); import qga_ra.client;"
    code += "print(*sorted(set(sys.modules) - old - set(sys.builtin_module_names)))"
    root = str(Path(__file__).resolve().parents[2])
    run = subprocess.run(["/usr/bin/python3", "-IS", "-c", code, root], capture_output=True, text=True, check=True)
    assert set(run.stdout.split()) <= {"heartbeat", "qga_ra", "qga_ra.client", "_socket"}
