"""The drugs domain: lookup of medicines by generic, brand or other name."""

from cito.plugins.drugs.plugin import plugin

__all__ = ["plugin"]
