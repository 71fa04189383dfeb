"""The methods by name. A new one is a file here and a line in this table."""

from akd.methods.default import Default
from akd.methods.dfad import DFAD
from akd.methods.plan import Method, Plan

METHODS: dict[str, type[Method]] = {method.name: method for method in (Default, DFAD)}

__all__ = ["METHODS", "Method", "Plan"]
