"""The helper: watches every guest of this compute node and decides which one has failed."""

__version__ = "0.1.0"
# Of what the command prints for programs, see docs/status-json.rst. A field more is no new one.
FORMAT = 1
