"""Optional packages: one that is missing is one line with the command that brings it."""

from __future__ import annotations

import math
import sys

import pytest

from arbiscale.errors import UnavailableError
from arbiscale.pretrained.packages import optional_module


def test_a_package_that_is_there_is_imported() -> None:
    assert optional_module("math", "pip install it") is math


def test_one_that_is_missing_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "piq", None)
    with pytest.raises(UnavailableError, match=r"^piq is not installed; run `pip install it`$"):
        optional_module("piq", "pip install it")
