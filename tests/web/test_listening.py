import pytest

from arbiscale.errors import UserError
from arbiscale.web.listening import listen


@pytest.mark.parametrize("host", ["", "no such host", "é" * 70, "a..b", "256.256.256.256", "::zz"])
def test_a_host_that_is_none_is_one_line(host: str) -> None:
    with pytest.raises(UserError, match="--host") as found:
        listen(host, 0)
    assert "while attempting" not in str(found.value)
