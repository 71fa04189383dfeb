"""Judging a model on real data: nothing that distils may import this package, nothing outside it reads a data set."""

from akd.evaluation.data import TestSet, load_test_set
from akd.evaluation.digits import Digits, digits_split
from akd.evaluation.metrics import Evaluation, evaluate
from akd.evaluation.robustness import Robustness, robustness

__all__ = ["Digits", "Evaluation", "Robustness", "TestSet", "digits_split", "evaluate", "load_test_set", "robustness"]
