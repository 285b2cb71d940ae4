"""Fixtures of the suites of the page Tokens."""

from typing import Any

import pytest

import vit_engine as ve


@pytest.fixture
def token_runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The facet of each run of a model for its tokens since the test began."""
    run, seen = ve.features, []

    def counting(*args: Any, facet: str, **options: Any) -> ve.Features:
        seen.append(facet)
        return run(*args, facet=facet, **options)

    monkeypatch.setattr(ve, "features", counting)
    return seen
