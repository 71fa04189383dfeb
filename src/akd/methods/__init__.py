"""The methods by name. A new one is a file here and a line in this table."""

from akd.methods.cmi import CMI
from akd.methods.dafl import DAFL
from akd.methods.deepinversion import DeepInversion
from akd.methods.default import Default
from akd.methods.dfad import DFAD
from akd.methods.dfq import DFQ
from akd.methods.fast import Fast
from akd.methods.nayer import NAYER
from akd.methods.plan import Method, Plan
from akd.methods.spaceship import SpaceshipNet
from akd.methods.untrained import Untrained
from akd.methods.zskt import ZSKT

METHODS: dict[str, type[Method]] = {
    method.name: method
    for method in (
        Default,
        DFAD,
        DAFL,
        ZSKT,
        DFQ,
        DeepInversion,
        CMI,
        Fast,
        NAYER,
        SpaceshipNet,
        Untrained,
    )
}

__all__ = ["METHODS", "Method", "Plan"]
