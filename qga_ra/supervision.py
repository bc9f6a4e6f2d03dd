"""The helper as a process: started so that it outlives whoever started it, and ended so that nothing of it is left."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import select
import signal
import stat
import subprocess
import time
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from heartbeat import settings
from qga_ra import holder
from qga_ra.errors import GENERIC, INSTALLED, Failure
from qga_ra.parameters import Invocation
from qga_ra.process import Process, alive, note, noted, session, sweep

# All that the helper gets to see of ours: Pacemaker's own environment has proxies and Python paths from anywhere. An
# arena of malloc's for each of its threads, which seldom run at once, would be half a MiB of nothing.
ENVIRONMENT: Mapping[str, str] = {
    "PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8", "HOME": "/root", "MALLOC_ARENA_MAX": "1",
}  # fmt: skip
OWN_CODES = (1, 2, 4, 5, 6)  # of the helper; anything else it may die with is a 1
PATIENCE = 1.0  # s for the end of what was killed and may be left
PAUSE = 0.05  # s between two looks at something that cannot be waited for


class Places(NamedTuple):
    """Where the helper is and what it leaves behind."""

    run: str = settings.RUN_DIRECTORY
    code: str = "/usr/lib/masakari-qga/heartbeat"
    python: str = "/usr/bin/python3"

    @property
    def lock(self) -> str:
        return f"{self.run}/lock"

    @property
    def socket(self) -> str:
        return f"{self.run}/control.sock"

    @property
    def starting(self) -> str:
        """Who has been started and has not said yet that it is ready: pid and start time, as in the lock."""
        return f"{self.run}/starting"

    @property
    def stderr(self) -> str:
        return f"{self.run}/helper.err"


def command(places: Places, given: Invocation) -> list[str]:
    """The helper's command line."""
    node = ["--node", given.node] if given.node else []
    sets = [word for name, text in given.settings.items() for word in ("--set", f"{name}={text}")]
    return [places.python, "-I", places.code, "--config", given.config, *node, *sets]


@contextlib.contextmanager
def exclusive(path: str, until: float) -> Iterator[None]:
    """One agent at a time: what an administrator runs by hand is not serialised with the cluster. Raises Failure."""
    descriptor = _open(path, os.O_RDWR)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() >= until:
                    why = f"another action of the agent holds {path} all the time; end that one (fuser -v {path})"
                    raise Failure(GENERIC, why) from None
            time.sleep(PAUSE)
        yield
    finally:
        os.close(descriptor)


def _open(path: str, flags: int) -> int:
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(errno.EINVAL, "not a regular file")
        return descriptor
    except OSError as error:
        raise Failure(GENERIC, f"{path} cannot be opened: {error.strerror}; remove it") from None


def launch(places: Places, given: Invocation) -> None:
    """Starts the helper and returns when it is ready: detached, with nothing of ours but a file for its last words.

    Raises Failure with the helper's own exit code and its last line; whatever was started is gone then.
    """
    _installed(places)
    words = _open(places.stderr, os.O_WRONLY | os.O_APPEND | os.O_TRUNC)
    ready, done = os.pipe()
    try:
        os.fchmod(words, 0o600)
        try:
            process = subprocess.Popen(
                command(places, given),
                stdin=subprocess.DEVNULL,
                stdout=done,
                stderr=words,
                cwd="/",
                umask=0o077,
                env=ENVIRONMENT,
                start_new_session=True,  # Pacemaker's timeout kills our whole process group
            )
        finally:
            os.close(done)
            os.close(words)
        note(places.starting, process.pid)
        try:
            _await(process, ready, places, given)
        except OSError:
            _kill(process)
            raise
        finally:
            with contextlib.suppress(OSError):
                os.unlink(places.starting)
        process.returncode = 0  # no longer ours; init reaps it
    except OSError as error:
        raise Failure(GENERIC, f"the helper cannot be started: {error.strerror}") from None
    finally:
        os.close(ready)


def _installed(places: Places) -> None:
    for path in (places.python, places.code):
        if not os.path.exists(path):
            raise Failure(INSTALLED, f"{path} is missing; reinstall masakari-qga")


def _await(process: subprocess.Popen[bytes], ready: int, places: Places, given: Invocation) -> None:
    heard = b""
    while select.select([ready], [], [], max(0.0, given.end - time.monotonic()))[0]:
        part = os.read(ready, 64)
        heard = heard[-8:] + part
        if b"ready\n" in heard:
            return
        if not part:
            break
    else:
        _kill(process)
        why = f"the helper is not ready after {given.end - given.begin:.0f} s and was killed"
        raise Failure(GENERIC, f"{why}; its last words: {last_line(places.stderr) or 'none'}")
    try:
        code = process.wait(max(0.1, given.end - time.monotonic()))
    except subprocess.TimeoutExpired:
        _kill(process)
        why = "the helper gave up getting ready, did not end and was killed"
        raise Failure(GENERIC, f"{why}; its last words: {last_line(places.stderr) or 'none'}") from None
    ended = f"signal {-code}" if code < 0 else f"exit code {code}"
    why = last_line(places.stderr) or f"the helper ended before it was ready, {ended}, without a word"
    raise Failure(code if code in OWN_CODES else GENERIC, why)


def _kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    try:
        process.wait(0.5)
    except subprocess.TimeoutExpired:
        process.returncode = -signal.SIGKILL  # in D state; it dies as soon as the kernel lets it


def last_line(path: str) -> str:
    """The last words of the helper, "" if there are none."""
    try:
        with open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - 4096))
            lines = file.read().decode("ascii", "replace").split("\n")
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def check(places: Places, given: Invocation) -> tuple[int, str]:
    """The exit code and the findings of the helper's own look at this host. Raises Failure."""
    _installed(places)
    try:
        run = subprocess.run(
            [*command(places, given), "--check"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=ENVIRONMENT,
            timeout=max(0.1, given.end - time.monotonic()),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise Failure(GENERIC, f"the check was not over after {given.end - given.begin:.0f} s") from None
    except OSError as error:
        raise Failure(GENERIC, f"the check cannot be started: {error.strerror}") from None
    code = run.returncode
    return code if code in (0, *OWN_CODES) else GENERIC, run.stdout.decode("ascii", "backslashreplace")


def stop(places: Places, kill_at: float, end: float) -> None:
    """Nothing of the helper is left when this returns: asked to end, and killed at `kill_at` (monotonic) if it did not.

    Raises Failure at `end` at the latest, which is better than to be timed out: then somebody learns why.
    """
    unknown_since = None
    while True:
        pids = [*holder.holders(places.lock), *noted(places.starting)]
        if pids:
            _end(pids, places, kill_at, end)
            unknown_since = None
            continue  # a second helper may have waited for the lock
        if holder.gone(places.lock):
            return
        now = time.monotonic()
        unknown_since = unknown_since or now  # who holds it may have just ended, or be an agent's glance at the lock
        if now > min(end, unknown_since + 2):
            why = f"the helper's lock is held by no process that can be found; lslocks has {places.lock}: end that one"
            raise Failure(GENERIC, why)
        time.sleep(PAUSE)


def _end(pids: list[int], places: Places, kill_at: float, end: float) -> None:
    with contextlib.ExitStack() as stack:
        helpers: list[Process] = []
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                process = stack.enter_context(Process(pid))
                # From here on it is one and the same. It is the right one only if it is so *now*.
                if holder.holds(pid, places.lock) or pid in noted(places.starting):
                    helpers.append(process)
        # One that was started by hand is in the session of a terminal.
        sessions = {process.pid for process in helpers if session(process.pid) == process.pid}
        for process in helpers:
            process.signal(signal.SIGTERM)
            # A stopped process never sees a TERM. Nor may it be continued: its next act could be a report hours old.
            if process.state == "T":
                process.signal(signal.SIGKILL)
        left = alive(helpers, min(kill_at, end))
        for process in left:
            process.signal(signal.SIGKILL)
        for process in alive(left, end):
            why = f"the helper, process {process.pid}, survives KILL in state {process.state}"
            reason = f"{why}: it hangs in the kernel; see /proc/{process.pid}/stack, reboot if it stays"
            raise Failure(GENERIC, reason)
    sweep(sessions, min(end, time.monotonic() + PATIENCE))
