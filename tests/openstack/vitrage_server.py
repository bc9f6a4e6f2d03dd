"""Vitrage's API and entity graph in one process. Run by tests/harness/receiving.py, with the interpreter of
build/vitrage: vitrage_server.py PORT FOLDER.

The API's controllers, its RPC, the datasources' drivers, transformers and the processor of the graph are Vitrage's own;
what is not there is what forks and what stores: evaluators of templates, the persistor, and RabbitMQ, for which
oslo.messaging's transport `fake://` stands, which ends where the process does. GET /graph shows the alarms as the graph
has them, with what each is on.
"""
import json
import sys
import threading
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from sqlalchemy import BigInteger
from sqlalchemy.ext.compiler import compiles
from vitrage.common import config
from vitrage.common.constants import EntityCategory
from vitrage.common.constants import VertexProperties as Vertex

compiles(BigInteger, "sqlite")(lambda *_, **__: "INTEGER")     # SQLite counts up only what has this very type
port, folder = int(sys.argv[1]), sys.argv[2]
config.parse_config(["vitrage", "--config-file", f"{folder}/vitrage.conf"])

import oslo_messaging  # noqa: E402
from oslo_config import cfg  # noqa: E402
from vitrage import messaging, rpc, storage  # noqa: E402
from vitrage.api import app  # noqa: E402
from vitrage.api_handler.apis.event import EventApis  # noqa: E402
from vitrage.api_handler.apis.operational import OperationalApis  # noqa: E402
from vitrage.entity_graph.graph_init import VitrageGraphInit  # noqa: E402
from vitrage.storage.sqlalchemy import models  # noqa: E402


class Workers:
    """What would be forked; here nobody evaluates templates."""

    def __getattr__(self, name):
        return lambda *_, **__: None


storage.get_connection_from_config()
from oslo_db.sqlalchemy import enginefacade  # noqa: E402

models.Base.metadata.create_all(enginefacade.writer.get_engine())
init = VitrageGraphInit(Workers())
init.run()
init.graph.ready = True     # as an API worker says of its copy
target = oslo_messaging.Target(topic=cfg.CONF.rpc_topic, server="one")
rpc.get_server(target, [EventApis(), OperationalApis(init.graph)], messaging.get_rpc_transport()).start()
api = app.load_app()


def alarms():
    found = []
    for it in init.graph.get_vertices(vertex_attr_filter={Vertex.VITRAGE_CATEGORY: EntityCategory.ALARM}):
        on = [one.get(Vertex.ID) for one in init.graph.neighbors(it.vertex_id)]
        found.append({"name": it.get(Vertex.NAME), "on": on, "deleted": bool(it.get(Vertex.VITRAGE_IS_DELETED)),
                      "severity": it.get(Vertex.SEVERITY), "state": it.get(Vertex.STATE)})
    return found


def front(environ, start):
    if environ["PATH_INFO"] != "/graph":
        return api(environ, start)
    start("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(alarms()).encode()]


class Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class Handler(WSGIRequestHandler):
    def address_string(self):
        return self.client_address[0]

    def log_message(self, *_):
        pass


assert threading.current_thread() is threading.main_thread()
make_server("127.0.0.1", port, front, server_class=Server, handler_class=Handler).serve_forever()
