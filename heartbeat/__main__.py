"""`/usr/bin/python3 -I /usr/lib/masakari-qga/heartbeat`: the helper, or a look at its configuration or host."""

import os
import sys

# -I leaves nothing of ours on the path; a directory that is run puts itself there, not its parent.
sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from heartbeat.arguments import main  # noqa: E402
from heartbeat.configuration import Configuration  # noqa: E402


def run(config: Configuration, node: str, directory: str) -> int:
    from heartbeat import daemon  # it loads libvirt, which a look at the configuration does without

    return daemon.run(config, node, directory)


sys.exit(main(sys.argv[1:], run))
