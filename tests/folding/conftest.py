"""References that rows are folded by."""

from __future__ import annotations

import pytest

from exporter.folding.reference_document import FoldingReference
from tests.support.folded import make_folding_reference


@pytest.fixture(scope="package")
def binary_reference() -> FoldingReference:
    return make_folding_reference("binary")


@pytest.fixture(scope="package")
def multiclass_reference() -> FoldingReference:
    return make_folding_reference("multiclass")
