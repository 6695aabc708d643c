"""Troubles of the streams themselves: each fires once, and resolves when it is over for all who told it."""

from schemas.findings import AlertEvent, Severity, Trouble
from streams.alerts.life_cycle import LifeCycle, Occasion, Subject


class Troubles:
    """Makes alerts of what partitions and roles tell about topics, keys and state."""

    def __init__(self) -> None:
        self.lives: dict[tuple[str, str, Severity], LifeCycle] = {}
        self._newest: dict[tuple[str, str, str], Trouble] = {}
        self._events: list[AlertEvent] = []

    def absorb(self, trouble: Trouble) -> None:
        """Take in what somebody tells; of the same source, kind and subject the newest counts."""
        who = trouble.kind, trouble.subject, trouble.source
        known = self._newest.get(who)
        if known is not None and trouble.at_ms < known.at_ms:
            return
        self._newest[who] = trouble
        still = [
            told
            for (kind, subject, _), told in self._newest.items()
            if (kind, subject) == (trouble.kind, trouble.subject) and not told.over
        ]
        severities = {told.severity for told in still}
        occasion = Occasion(
            trouble.at_ms,
            trouble.at_ms,
            trouble.at_ms,
            trouble.summary,
            evidence={"subject": trouble.subject, "source": trouble.source},
        )
        for (kind, subject, severity), life in self.lives.items():
            if (kind, subject) == (trouble.kind, trouble.subject) and severity not in severities:
                self._events += life.resolve(occasion)
        if not trouble.over:
            self._events += self._life(trouble).fire(occasion)

    def advance(self) -> list[AlertEvent]:
        """Return what was not told yet."""
        events, self._events = self._events, []
        return events

    def _life(self, trouble: Trouble) -> LifeCycle:
        key = trouble.kind, trouble.subject, trouble.severity
        if key not in self.lives:
            self.lives[key] = LifeCycle(
                Subject(
                    alertname="".join(word.capitalize() for word in trouble.kind.split("_")),
                    kind=trouble.kind,
                    rule=trouble.kind,
                    severity=trouble.severity,
                    subject=trouble.subject,
                )
            )
        return self.lives[key]
