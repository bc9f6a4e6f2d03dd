"""Where our log lines go: syslog or a file. No trouble there may ever delay or stop the helper."""

from __future__ import annotations

import atexit
import logging
import logging.handlers
import os
import queue
import socket

# Lines that may wait for a log that does not take them, as a stopped journald; further ones are dropped.
WAITING_LINES = 1000
IDENT = "masakari-qga"
SYSLOG = "/dev/log"
SYSLOG_WORD = "syslog"  # of log.to; anything else is a file's path
# Seconds that our end waits for lines to be written.
LAST_LINES = 1.0


class _OneLine(logging.Formatter):
    """One line of printable ASCII for each event, a traceback too: nothing in it can pretend to be another line."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record).replace("\n", " | ")
        return "".join(letter if " " <= letter <= "~" else ascii(letter)[1:-1] for letter in text)[:8000]


class _Dropping(logging.handlers.QueueHandler):
    def enqueue(self, record: logging.LogRecord) -> None:
        try:
            self.queue.put_nowait(record)
        except queue.Full:
            pass

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        return record  # formatted by the listener's thread; our arguments are immutable


class _Listener(logging.handlers.QueueListener):
    def handle(self, record: logging.LogRecord) -> None:
        try:
            super().handle(record)
        except Exception:  # a handler raises what it meets while it opens its file; the next line may fare better
            pass


def begin(to: str, level: str) -> None:
    """Log from now on to syslog or to a file, from a thread of its own. Never raises for a log that cannot be
    written."""
    logging.raiseExceptions = False
    handler: logging.Handler
    if to == SYSLOG_WORD:
        handler = logging.handlers.SysLogHandler(SYSLOG, logging.handlers.SysLogHandler.LOG_DAEMON)
        handler.setFormatter(_OneLine(f"{IDENT}[{os.getpid()}]: %(message)s"))
    else:
        handler = logging.handlers.WatchedFileHandler(to, delay=True)
        handler.setFormatter(_OneLine("%(asctime)s %(levelname)s %(message)s"))
    lines: queue.Queue[logging.LogRecord] = queue.Queue(WAITING_LINES)
    _Listener(lines, handler).start()
    logging.basicConfig(handlers=[_Dropping(lines)], level=level.upper(), force=True)
    # logging's own end waits for a handler that is in the middle of a line, for ever if nobody takes it.
    atexit.unregister(logging.shutdown)
    atexit.register(_end, lines)


def unwritable(to: str) -> str:
    """Why lines would not arrive there, as far as can be seen without writing one; "": they would."""
    if to == SYSLOG_WORD:
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            with socket.socket(socket.AF_UNIX, kind) as log:
                log.settimeout(2)
                try:
                    log.connect(SYSLOG)
                except OSError as error:
                    why = f"{SYSLOG}: {error.strerror or error}"
                else:
                    return ""
        return why
    place = to if os.path.exists(to) else os.path.dirname(to)
    if os.path.isdir(to):
        return "it is a directory"
    if not os.path.exists(place):
        return f"{place} is missing"
    return "" if os.access(place, os.W_OK) else f"{place} is not writable"


def _end(lines: queue.Queue[logging.LogRecord]) -> None:
    with lines.all_tasks_done:
        lines.all_tasks_done.wait_for(lambda: not lines.unfinished_tasks, LAST_LINES)
