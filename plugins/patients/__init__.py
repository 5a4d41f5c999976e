"""Patients: found at the first try, by the right clinic only."""

from cito.plugins.patients.plugin import PatientsPlugin

plugin = PatientsPlugin()
