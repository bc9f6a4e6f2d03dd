"""Stands in for the helper, as far as the agent can see it; --config names a file, empty but for a comment that
says in JSON how it behaves.

Not a test: the tests of the agent start it as a process.
"""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

behaviour = json.loads(Path(sys.argv[sys.argv.index("--config") + 1]).read_bytes().lstrip(b"# "))
run = behaviour["run"]
if "--check" in sys.argv:
    print(behaviour.get("finding", "all is well"))
    sys.exit(behaviour.get("exit", 0))
if behaviour.get("words"):
    sys.stderr.buffer.write(behaviour["words"].encode("latin-1"))
    sys.stderr.flush()
if "exit" in behaviour:
    sys.exit(behaviour["exit"])
if behaviour.get("signal"):
    os.kill(os.getpid(), behaviour["signal"])
if behaviour.get("ignore_term"):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
lock = os.open(f"{run}/lock", os.O_RDWR | os.O_CREAT, 0o600)
fcntl.flock(lock, fcntl.LOCK_EX)
started = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
os.ftruncate(lock, 0)
os.write(lock, f"{os.getpid()} {started} 0.1.0\n".encode())
if behaviour.get("leave_to_child") and os.fork():
    os._exit(0)
if behaviour.get("child"):
    subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL)
if behaviour.get("hang"):
    time.sleep(600)
path = f"{run}/control.sock"
if os.path.exists(path):
    os.unlink(path)
server = socket.socket(socket.AF_UNIX)
server.bind(path)
server.listen(16)
os.write(1, b"ready\n")
os.dup2(os.open("/dev/null", os.O_RDWR), 1)
with open(f"{run}/asked", "a", buffering=1) as asked:
    while True:
        connection = server.accept()[0]
        line = connection.makefile("rb").readline()
        if line == b"ping\n":
            version = behaviour.get("version", "0.1.0")
            reply = f"alive {behaviour.get('age', 12)} {version} {os.getpid()}"
        else:
            asked.write(line.decode())
            reply = json.dumps(behaviour.get("reply", {"ok": True, "changed": []}))
        connection.sendall(reply.encode() + b"\n")
        connection.close()
