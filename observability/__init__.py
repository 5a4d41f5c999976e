"""Observability of Cito; see `plugin.py`."""

from cito.observability.plugin import Observability

plugin = Observability()

__all__ = ["plugin"]
