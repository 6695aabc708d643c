"""A thread of the raw role that works in passes, and outlasts what it needs being away."""

import threading
from abc import ABC, abstractmethod

import structlog

FIRST_RETRY_S, LONGEST_RETRY_S = 1.0, 60.0
STOP_WITHIN_S = 5.0

log = structlog.get_logger("aftcast.passes")


class Passes(threading.Thread, ABC):
    """Works, rests, and works again until it is told to stop.

    What fails is told, let go of and tried again: after a second at first, then after twice as long each
    time. Whatever fails, the process goes on: nobody waits for what is done here.

    Parameters
    ----------
    name
        Of the thread.
    meanwhile
        What is told of the time until the next try, such as ``hours are added up later``.
    away
        The errors that are foreseen; of others the frames are told too.
    first_rest_s
        Until the first pass.
    """

    def __init__(
        self, name: str, meanwhile: str, away: tuple[type[Exception], ...], first_rest_s: float
    ) -> None:
        super().__init__(name=name, daemon=True)
        self._meanwhile = meanwhile
        self._away = away
        self._first_rest_s = first_rest_s
        self.stopping = threading.Event()

    def run(self) -> None:
        rest_s, retry_s = self._first_rest_s, FIRST_RETRY_S
        while not self.stopping.wait(rest_s):
            try:
                rest_s, retry_s = self.work(), FIRST_RETRY_S
            except Exception as error:
                foreseen = isinstance(error, self._away)
                rest_s = retry_s if foreseen else LONGEST_RETRY_S
                reason = str(error) if foreseen else repr(error)
                frames = None if foreseen else error
                log.warning(f"{reason}; {self._meanwhile}, trying again in {rest_s:g} s", exc_info=frames)
                retry_s = min(2 * rest_s, LONGEST_RETRY_S)
                self.count_retry()
                self.disconnect()
        self.disconnect()

    def stop(self) -> None:
        """Let the pass at work end; returns after ``STOP_WITHIN_S`` at the latest."""
        self.stopping.set()
        if self.is_alive():
            self.join(STOP_WITHIN_S)

    @abstractmethod
    def work(self) -> float:
        """Do one pass, and return for how many seconds to rest."""

    @abstractmethod
    def count_retry(self) -> None:
        """Take note that a pass failed."""

    @abstractmethod
    def disconnect(self) -> None:
        """Close what is open, if anything is."""
