"""The methods by name. A new one is a file here and a line in this table."""

from akd.methods.dafl import DAFL
from akd.methods.default import Default
from akd.methods.dfad import DFAD
from akd.methods.dfq import DFQ
from akd.methods.plan import Method, Plan
from akd.methods.zskt import ZSKT

METHODS: dict[str, type[Method]] = {
    method.name: method
    for method in (
        Default,
        DFAD,
        DAFL,
        ZSKT,
        DFQ,
    )
}

__all__ = ["METHODS", "Method", "Plan"]
