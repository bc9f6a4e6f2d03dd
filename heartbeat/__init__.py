"""The helper: watches every guest of this compute node and decides which one has failed."""

__version__ = "0.1.0"
