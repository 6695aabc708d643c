"""Tells of records that were needed and are gone from the log, and later that their time is past."""

from collections.abc import Iterator
from datetime import UTC, datetime

from schemas.findings import Trouble
from streams.worker import outgoing
from streams.worker.checkpoint_records import Gap
from streams.worker.resuming import Start
from streams.worker.sending import Outgoing

STATE_GAP = "state_gap"


class GapTroubles:
    """The gaps of one partition that are not over."""

    def __init__(self, partition: int, start: Start) -> None:
        self._partition = partition
        self._new = list(start.found)
        self.open = list(start.gaps)

    def messages(self, topic: str, reached_ms: int, now_ms: int) -> Iterator[Outgoing]:
        """Yield what is to be told, once each; both inputs are read up to record time ``reached_ms``."""
        for gap, summary in self._new:
            yield self._message(topic, gap, summary, now_ms)
        self._new.clear()
        for gap in [gap for gap in self.open if gap.whole_from_ms <= reached_ms]:
            self.open.remove(gap)
            whole_from = datetime.fromtimestamp(gap.whole_from_ms / 1000, UTC).isoformat()
            summary = f"{gap.topic}[{self._partition}]: windows from {whole_from} on are whole again"
            yield self._message(topic, gap, summary, now_ms, over=True)

    def _message(self, topic: str, gap: Gap, summary: str, now_ms: int, *, over: bool = False) -> Outgoing:
        subject = f"{gap.topic}[{self._partition}]"
        return outgoing.trouble_message(topic, Trouble(STATE_GAP, subject, summary, now_ms, over=over))
