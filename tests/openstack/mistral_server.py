"""Mistral's API, engine and executor in one process. Run by tests/harness/workflows.py, with the interpreter of
build/mistral: mistral_server.py PORT FOLDER.

They are what mistral-server runs, unchanged; the one process is for oslo.messaging's transport `fake://`, which ends
where the process does, and spares us RabbitMQ. Keystone is left out: Mistral's own behaviour is what is asked for.
"""
import sys
import threading
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from mistral import config
from oslo_config import cfg
from oslo_log import log

port, folder = int(sys.argv[1]), sys.argv[2]
config.parse_args(args=["--config-file", f"{folder}/mistral.conf"])
log.setup(cfg.CONF, "mistral")

from mistral.api import app  # noqa: E402
from mistral.db.v2 import api as database  # noqa: E402
from mistral.engine import engine_server  # noqa: E402
from mistral.executors import executor_server  # noqa: E402
from mistral.services import actions  # noqa: E402

database.setup_db()
getattr(actions, "sync_db", lambda: None)()


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Handler(WSGIRequestHandler):
    def address_string(self):
        return self.client_address[0]

    def log_message(self, *_):
        pass


for service in (engine_server.get_oslo_service(setup_profiler=False),
                executor_server.get_oslo_service(setup_profiler=False)):
    threading.Thread(target=service.start, daemon=True).start()
    service.wait_started()
make_server("127.0.0.1", port, app.setup_app(), server_class=Server, handler_class=Handler).serve_forever()
