import os
import signal
import sys

import pytest

from arbiscale.pipeline.signals import SIGNALS, Interrupted, stop_signals


def handlers() -> list[object]:
    return [signal.getsignal(signum) for signum in SIGNALS]


@pytest.mark.parametrize("signum", SIGNALS)
def test_a_signal_raises_interrupted(signum: int) -> None:
    before = handlers()
    with pytest.raises(Interrupted) as caught, stop_signals():
        os.kill(os.getpid(), signum)
    assert caught.value.signum == signum
    assert handlers() == before


def test_a_disguised_signal_is_recognized() -> None:
    def work() -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            sys.exit(1)  # as Lightning does

    with stop_signals() as signals:
        signals.check()
        with pytest.raises(SystemExit):
            work()
        with pytest.raises(Interrupted, match="SIGINT"):
            signals.check()


def test_a_second_sigterm_does_not_disturb_the_cleaning_up() -> None:
    with stop_signals() as signals:
        with pytest.raises(Interrupted):
            os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.received == signal.SIGTERM


def test_forked_workers_die_as_usual() -> None:
    with stop_signals() as signals:
        child = os.fork()
        if child == 0:
            os.kill(os.getpid(), signal.SIGTERM)
            os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
        signals.check()
