"""Medications: the formulary."""

from cito.plugins.medications.plugin import plugin

__all__ = ["plugin"]
