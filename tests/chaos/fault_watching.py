"""Stage 2 among crashes: watchers that claim, read their journal, follow, tell half and die."""

from dataclasses import dataclass, field

from fault_system import MONITOR, UPDATES
from log_model import FencedError, LogModel, Place

from schemas import messages
from schemas.journal import Position
from streams.monitor import Findings, Follower, Loading

NAME = "aftcast-journal-0"
JOURNAL: Place = ("journal", 0)
FOUND: Place = ("alerts-and-findings", 0)


@dataclass
class Watched:
    """What has been committed of one partition of pane-updates: at which offsets a monitor was asked."""

    log: LogModel
    cuts: list[int] = field(default_factory=list)

    def note(self, position: Position) -> None:
        self.cuts = [cut for cut in self.cuts if cut <= position.snapshot_offset] + list(position.cuts)

    def found(self) -> list[bytes]:
        return [value for _, value in self.log.committed(FOUND)]

    def expected(self) -> list[bytes]:
        """Return what one monitor finds that is never disturbed, asked at the same offsets."""
        follower, found, cuts = Follower(MONITOR, 0), [], list(self.cuts)
        for offset, (kind, value) in self.log.committed(UPDATES):
            while cuts and cuts[0] <= offset:
                cuts.pop(0)
                found += _told(list(follower.cut()))
            follower.take(offset, kind, value)
        for _ in cuts:
            found += _told(list(follower.cut()))
        return found


class Watcher:
    """Who watches: what it has in memory is lost with it."""

    def __init__(self, watched: Watched) -> None:
        self._watched, log = watched, watched.log
        self._epoch = log.claim(NAME)
        last: tuple[Position, bytes] | None = log.newest(JOURNAL)
        self._snapshot = b""
        if last is None:
            self.follower = Follower(MONITOR, 0)
            return
        position, self._snapshot = last
        loaded = None
        if position.parts:
            loaded = Loading(self._snapshot, MONITOR)
            for _ in loaded.steps():
                pass
        self.follower = Follower(MONITOR, position.snapshot_offset, position, loaded)

    def take(self, most: int) -> None:
        """Take in the next messages, and be asked where it was asked before."""
        for offset, (kind, value) in self._watched.log.committed(UPDATES, self.follower.next_offset):
            if most == 0:
                break
            most -= 1
            self.follower.take(offset, kind, value)
            while self.follower.due:
                list(self.follower.cut())

    def ask(self, *, write: bool, snapshot: bool, cut: int | None = None) -> bool:
        """Find what follows, and tell it with the position; False: fenced.

        ``write`` writes a position though nothing was found; ``cut`` stops after so many messages.
        """
        follower, log = self.follower, self._watched.log
        if follower.silent or not follower.ready:
            return True
        told = _told(list(follower.cut()))
        if not told and not write:
            return True
        asked = position = follower.position()
        if snapshot:
            self._snapshot = b"".join(follower.snapshot())
            follower.snapshot_taken(1, "")
            position = follower.position()
        entries = [(FOUND, one) for one in told] + [(JOURNAL, (position, self._snapshot))]
        try:
            for place, value in entries[:cut]:
                log.write(NAME, self._epoch, place, value)
            if cut is not None:
                return True
            log.commit(NAME, self._epoch)
        except FencedError:
            return False
        self._watched.note(asked)
        return True


def _told(parts: list[Findings]) -> list[bytes]:
    found = Findings.of(parts)
    told = *found.alerts, *found.drifts, *found.states, *found.curves, *found.calibrations
    return [messages.encode(one) for one in told]
