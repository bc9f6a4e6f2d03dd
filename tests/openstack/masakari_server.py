"""masakari-api and masakari-engine in one process. Run by tests/harness/cloud.py, with the interpreter of
build/openstack: masakari_server.py [--without-engine] --config-file FILE.

They are what the commands of these names run, unchanged; the one process is for oslo.messaging's transport `fake://`,
which ends where the process does, and spares us RabbitMQ.
"""
import sys

import masakari.cmd  # patches for eventlet, before anything else
import masakari.conf
from masakari import config, objects, service
from oslo_log import log
from oslo_service import service as launcher

engine = "--without-engine" not in sys.argv
config.parse_args([word for word in sys.argv if word != "--without-engine"])
conf = masakari.conf.CONF
log.setup(conf, "masakari")
objects.register_all()
api = service.WSGIService("masakari_api", use_ssl=False)
launched = launcher.ServiceLauncher(conf, restart_method="mutate")
if engine:
    launched.launch_service(service.Service.create(binary="masakari-engine", topic=conf.masakari_topic))
launched.launch_service(api)
launched.wait()
