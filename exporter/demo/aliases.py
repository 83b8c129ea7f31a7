"""What the versions are called: apart from the models, whose import takes seconds."""

from __future__ import annotations

CHAMPION = "champion"
CHALLENGER = "challenger"
