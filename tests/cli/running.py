"""Running a command line in this process."""

from pathlib import Path

import pytest

from arbiscale.cli.app import main


def run(*arguments: str | Path) -> int:
    """The exit code of a command."""
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    return int(end.value.code or 0)
