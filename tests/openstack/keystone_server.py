"""Keystone's API in one process with one thread, which is what SQLite wants. Run by tests/harness/cloud.py, with the
interpreter of build/openstack: keystone_server.py PORT, with OS_KEYSTONE_CONFIG_DIR in the environment."""
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server

port = int(sys.argv.pop(1))     # what is left of the command line is Keystone's to read
from keystone.wsgi.api import application  # noqa: E402


class Handler(WSGIRequestHandler):
    def address_string(self):
        return self.client_address[0]      # no look-up of names: a cell has no resolver to ask


make_server("127.0.0.1", port, application, handler_class=Handler).serve_forever()
