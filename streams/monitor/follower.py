"""A monitor that follows one partition of pane-updates, and goes over again what it had told before."""

from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from schemas import messages
from schemas.findings import LifecycleEvent, Progress, StreamTotals, Trouble
from schemas.journal import Position
from schemas.settings import MonitorSettings
from streams.monitor import firing
from streams.monitor.snapshot import Loading, dump, fingerprint
from streams.monitor.stage import Findings, Monitor


class Follower:
    """Takes messages in the order of their offsets, and finds what follows from them when it is asked.

    Parameters
    ----------
    settings
        Of the monitor.
    begin
        The first offset that it will be given.
    position
        What was told before; None: nothing. Up to its offset it is asked at the same offsets as then, and
        what it finds is not to be told again.
    loaded
        The snapshot of that position, read to its end. Without it, and without the fingerprint that the
        position was written under, it begins anew: then its own judgement of the messages before counts, and
        only what fires differently is told.
    """

    def __init__(
        self,
        settings: MonitorSettings,
        begin: int,
        position: Position | None = None,
        loaded: Loading | None = None,
    ) -> None:
        self._fingerprint = fingerprint(settings)
        self.monitor = Monitor(settings) if loaded is None else loaded.monitor
        self._progress: dict[int, Progress] = {} if loaded is None else loaded.beside
        self.next_offset = begin
        self._cut_at = begin
        self._told: firing.Firing = {}
        self._found: firing.Firing = {}
        self._newest: dict[tuple[object, ...], Findings] = {}
        self._position = Position(begin, begin, fingerprint=self._fingerprint)
        self._again: deque[int] = deque()
        self.anew = False
        if position is not None:
            self._position = replace(position, offset=max(position.offset, begin))
            self._told = {alert.fingerprint: alert for alert in position.firing}
            self.anew = position.fingerprint != self._fingerprint or (loaded is None and position.parts > 0)
            cuts = (position.offset,) if self.anew else position.cuts
            self._again.extend(cut for cut in cuts if cut > begin)
            if not self.anew:
                self._found = dict(self._told)

    @property
    def mature_until_ms(self) -> dict[str, int]:
        return self.monitor.mature_until_ms()

    @property
    def silent(self) -> bool:
        """Whether what is found now was told before."""
        return bool(self._again)

    @property
    def again_until(self) -> int:
        """The offset up to which it goes over what was told before."""
        return self._again[-1] if self._again else self.next_offset

    @property
    def due(self) -> bool:
        """Whether it was asked here before, and has to be asked again before the next message."""
        return bool(self._again) and self._again[0] <= self.next_offset

    @property
    def ready(self) -> bool:
        """Whether there is anything new to ask about."""
        return bool(self._progress) and self.next_offset > self._cut_at

    def take(self, offset: int, kind: bytes | None, value: bytes | None) -> None:
        """Take in the message at an offset; what cannot be read raises, and counts as taken in."""
        self.next_offset = offset + 1
        if value is None:
            raise ValueError("no value")
        if kind == messages.PANES:
            self.monitor.absorb(messages.decode_panes(value))
        elif kind == messages.FEATURES:
            self.monitor.absorb_features(messages.decode_features(value))
        elif kind == messages.PROGRESS:
            progress = messages.decode(value, Progress)
            known = self._progress.get(progress.partition)
            if known is None or progress.epoch >= known.epoch:
                self._progress[progress.partition] = progress
        elif kind == messages.TOTALS:
            self.monitor.absorb_totals(messages.decode(value, StreamTotals))
        elif kind == messages.TROUBLE:
            self.monitor.absorb_trouble(messages.decode(value, Trouble))
        elif kind == messages.LIFECYCLE:
            event = messages.decode(value, LifecycleEvent)
            self.monitor.absorb_lifecycle(event.model, event.model_version, event.timestamp_ms, event.kind)

    def cut(self) -> Iterator[Findings]:
        """Yield what follows from the messages taken in, in short steps; it counts as asked at the last.

        While it is ``silent`` the findings are not to be told.
        """
        silent = self.silent
        for progress in self.monitor.steps(tuple(self._progress.values())):
            findings = self.monitor.advance(progress)
            firing.note(self._found, findings.alerts)
            if self.anew:
                self._remember(findings)
            yield Findings() if silent else findings
        self._cut_at = self.next_offset
        while self._again and self._again[0] <= self.next_offset:
            self._again.popleft()
        if not silent:
            self._position = replace(
                self._position, offset=self.next_offset, cuts=(*self._position.cuts, self.next_offset)
            )

    def settle(self) -> Findings:
        """Return what is to be told once a monitor that began anew has come to where it is not silent."""
        self.anew = False
        newest, self._newest = self._newest.values(), {}
        found = Findings(
            alerts=tuple(firing.reconciled(self._told, self._found, self.next_offset)),
            states=tuple(state for one in newest for state in one.states),
            curves=tuple(curve for one in newest for curve in one.curves),
            calibrations=tuple(one for part in newest for one in part.calibrations),
            references=tuple(one for part in newest for one in part.references),
        )
        # Alerts that fired before as now were told under these ids.
        self._found = {name: self._told.get(name, alert) for name, alert in self._found.items()}
        firing.note(self._found, found.alerts)
        self._position = Position(self.next_offset, self.next_offset, cuts=(), fingerprint=self._fingerprint)
        return found

    def position(self) -> Position:
        """Return what to write down with what was told up to the last cut."""
        # Without their evidence, kilobytes each: many alerts must fit in one record.
        firing = (replace(self._found[name], evidence={}) for name in sorted(self._found))
        return replace(self._position, firing=tuple(firing))

    def snapshot(self) -> Iterator[bytes]:
        """Yield what it is at the last cut, in short steps; nothing may be taken in until the last one."""
        return dump(self.monitor, self._progress)

    def snapshot_taken(self, parts: int, digest: str) -> None:
        """Take note of a snapshot that will be written down with the next position."""
        offset = self._position.offset
        self._position = Position(offset, offset, parts=parts, digest=digest, fingerprint=self._fingerprint)

    def _remember(self, findings: Findings) -> None:
        for state in findings.states:
            self._newest["state", state.model, state.model_version] = Findings(states=(state,))
        for curve in findings.curves:
            key = "curve", curve.model, curve.model_version, curve.predicted, curve.hit
            self._newest[key] = Findings(curves=(curve,))
        for known in findings.calibrations:
            self._newest["calibration", known.model, known.model_version] = Findings(calibrations=(known,))
        for reference in findings.references:
            self._newest["reference", *reference.key] = Findings(references=(reference,))
