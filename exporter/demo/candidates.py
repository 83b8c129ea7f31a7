"""The two models of the demo, both good at the task: trees, and a smooth regression that challenges them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, SplineTransformer

from exporter.demo import aliases
from exporter.demo.flights import CATEGORIES, FEATURES

Parameters = dict[str, int | float]


@dataclass(frozen=True)
class Candidate:
    """A kind of model, and the alias under which it is registered; `build` makes a pipeline to be fitted."""

    alias: str
    name: str
    parameters: Parameters
    build: Callable[[Parameters], Pipeline]


def _trees(parameters: Parameters) -> Pipeline:
    """What is missing, or a category that was never seen, is a branch of its own."""
    encoder = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=float("nan"))
    return Pipeline(
        [
            (
                "encode",
                ColumnTransformer([("categories", encoder, list(CATEGORIES))], remainder="passthrough"),
            ),
            ("classify", HistGradientBoostingClassifier(early_stopping=False, **parameters)),
        ]
    )


def _splines(parameters: Parameters) -> Pipeline:
    """Smooth in each number; a category that was never seen counts for nothing."""
    numbers = [name for name in FEATURES if name not in CATEGORIES]
    curves = SplineTransformer(n_knots=parameters["n_knots"], knots="quantile", extrapolation="linear")
    prepare = ColumnTransformer(
        [
            ("categories", OneHotEncoder(handle_unknown="ignore"), list(CATEGORIES)),
            ("numbers", make_pipeline(SimpleImputer(strategy="median"), curves), numbers),
            ("unregistered", MissingIndicator(features="all"), ["seats"]),
        ]
    )
    classifier = LogisticRegression(C=parameters["C"], max_iter=1000)
    return Pipeline([("prepare", prepare), ("classify", classifier)])


CHAMPION = Candidate(
    aliases.CHAMPION,
    "gradient boosting",
    {"max_iter": 80, "learning_rate": 0.1, "max_leaf_nodes": 15, "random_state": 2013},
    _trees,
)
CHALLENGER = Candidate(aliases.CHALLENGER, "splines", {"n_knots": 8, "C": 1.0}, _splines)
CANDIDATES = (CHAMPION, CHALLENGER)
