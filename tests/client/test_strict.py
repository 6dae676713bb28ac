"""What a strict primary refuses."""

from __future__ import annotations

from typing import Any

import pytest

import labkit.errors as errors
from labkit import Context


def test_plain_writes_are_refused(lab: Any, context: Context) -> None:
    nothing: Any = None
    primary = lab("strict").StrictPrimary(context, nothing, nothing, nothing, nothing, nothing)
    with pytest.raises(errors.BadArguments, match="records only"):
        primary.handlers()["write"](handle=1, version=1, offset=0, data_id="x")
