"""`/usr/bin/python3 -I /usr/lib/masakari-qga/heartbeat`: the helper, or a look at its configuration or host."""

import os
import sys

# -I leaves nothing of ours on the path; a directory that is run puts itself there, not its parent.
sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from heartbeat.arguments import main  # noqa: E402


def run(*given):
    from heartbeat.daemon import run  # it loads libvirt, which a look at the configuration does without

    return run(*given)


sys.exit(main(sys.argv[1:], run))
