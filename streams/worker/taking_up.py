"""Where the watching of a partition of pane-updates begins: with its snapshot, or with what the log holds."""

import asyncio
import zlib
from dataclasses import dataclass, replace

import structlog
from faust.types import TP

from schemas.checkpoints import LastRecord
from schemas.findings import Trouble
from schemas.settings import MonitorSettings
from streams.monitor import Follower, Loading, SnapshotError, fingerprint
from streams.worker.journal import Recalled, unpacked

log = structlog.get_logger("aftcast.journal")


@dataclass(frozen=True, slots=True)
class Beginning:
    """A monitor, the offset from which on it is to be fed, and whether it will never see some rows.

    ``last`` is the record by which its log is known.
    """

    follower: Follower
    offset: int
    trouble: Trouble | None = None
    last: LastRecord | None = None

    @property
    def lost(self) -> bool:
        return self.trouble is not None and not self.trouble.over


async def take_up(
    tp: TP,
    first: int,
    end: int,
    recalled: Recalled,
    settings: MonitorSettings,
    now_ms: int,
    again: LastRecord | None = None,
) -> Beginning:
    """Return the monitor that a journal tells of; one that begins anew where it does not fit.

    Parameters
    ----------
    first, end
        The offsets at which the log of pane-updates begins and ends.
    now_ms
        When this is, for the alert about a gap.
    again
        What the log holds now where the position's last record was; None: that is no longer there.
    """
    position = recalled.position
    whole = Trouble("state_gap", f"{tp.topic}[{tp.partition}]", "", now_ms, over=True)
    if position is None:
        return Beginning(Follower(settings, first), first)
    found = ""
    if again is not None and again != position.last:
        found = f"holds another record at offset {again.offset} than the one watched there"
    elif position.offset > end:
        found = f"ends at offset {end}, before {position.offset}, up to which it was watched"
    if found:
        lost = (
            f"{tp.topic}[{tp.partition}] {found}: it is another log, watched from its beginning; nothing "
            "needs to be done if the topic was created again on purpose"
        )
        return Beginning(Follower(settings, first), first, replace(whole, summary=lost, over=False))
    loaded = await _loaded(tp, recalled, settings)
    if position.fingerprint != fingerprint(settings) or (position.parts and loaded is None):
        log.warning(
            "watching anew from what the log holds",
            topic=tp.topic, partition=tp.partition, first=first, until=position.offset,
        )  # fmt: skip
        return Beginning(Follower(settings, first, position), first, whole, position.last)
    begin = max(first, position.snapshot_offset)
    trouble = whole
    if first > position.snapshot_offset:
        lost = (
            f"{tp.topic}[{tp.partition}] begins at offset {first}, and {position.snapshot_offset} is needed: "
            "some rows were never seen by the monitor; keep pane-updates for longer than the longest outage "
            "(retention.ms)"
        )
        trouble = replace(whole, summary=lost, over=False)
    return Beginning(Follower(settings, begin, position, loaded), begin, trouble, position.last)


async def _loaded(tp: TP, recalled: Recalled, settings: MonitorSettings) -> Loading | None:
    position, snapshot = recalled.position, recalled.snapshot
    if position is None or snapshot is None or position.fingerprint != fingerprint(settings):
        return None
    try:
        loading = Loading(await asyncio.to_thread(unpacked, snapshot), settings)
        for _ in loading.steps():
            await asyncio.sleep(0)
    except (SnapshotError, zlib.error) as error:
        log.warning("snapshot refused", topic=tp.topic, partition=tp.partition, reason=str(error))
        return None
    return loading
