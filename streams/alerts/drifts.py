"""Signals that drift together are one alert, which ends when all are back or have become the new normal."""

from collections.abc import Iterable
from dataclasses import replace

from schemas.findings import AlertEvent, DriftEvent, Scalar
from schemas.signals import SignalKey, SignalPane
from streams.alerts.alarm import Alarm, rank, what
from streams.alerts.drift_words import change, evidence, named, together
from streams.alerts.life_cycle import LifeCycle, Occasion, Subject
from streams.alerts.moves import Move, key_of
from streams.alerts.remembered import RememberedPanes

FOLLOWED_ALARMS = 8  # that have ended and may still be retracted


class DriftAlert:
    """The alerts over all signals of one model version; one at a time about what got worse.

    ``ErrorDrift`` is a page: the error rose, on all traffic or in a segment. ``Drift`` is a ticket: signals
    without labels moved alone. When the error turns out to have risen within six hours of them, the ticket
    is resolved and its signals are listed by the page. ``ErrorImproved`` is for information.

    Call ``fed`` and ``drifted`` in the order of event time in which evidence was complete, and ``tell``
    whenever that time moves on: what was taken in between is told as one event.

    Examples
    --------
    >>> alert = DriftAlert("fraud", "1", pane_width_ms=60_000)
    >>> alert.drifted(DriftEvent("fraud", "1", "", "", "error", "ADWIN", 9, 1, 2, 0.1, 0.2), withheld=False)
    >>> [(event.status, event.summary) for event in alert.tell(9)]
    [('firing', 'fraud 1: error rose from 0.1 to 0.2')]
    """

    def __init__(self, model: str, model_version: str, *, pane_width_ms: int) -> None:
        page = Subject("ErrorDrift", "drift", "drift", "page", model, model_version)
        self._worse = LifeCycle(page)
        self._better = LifeCycle(replace(page, alertname="ErrorImproved", severity="info"))
        self._other = LifeCycle(replace(page, alertname="Drift", severity="ticket"))
        self._who = f"{model} {model_version}".strip()
        self._width_ms = pane_width_ms
        self._alarms: dict[str, Alarm] = {}  # that fire, by alertname
        self._ended: list[Alarm] = []
        self._found: list[Move] = []  # since the last time it told
        self._fed_until_ms: dict[SignalKey, int] = {}
        self._panes = RememberedPanes(pane_width_ms)
        self._taken_back: dict[SignalKey, Move] = {}

    @property
    def lives(self) -> tuple[LifeCycle, ...]:
        """The alerts that there can be."""
        return self._worse, self._better, self._other

    def fed(self, pane: SignalPane) -> None:
        """Take in the next pane that a signal's detectors were fed, before what they found in it."""
        if pane.key.signal == "error":
            self._panes.add(pane)
        self._fed_until_ms[pane.key] = pane.end_ms
        move = self._move(pane.key)
        if move is not None:
            move.fed(pane)

    def drifted(self, drift: DriftEvent, at_least: float | None = None, *, withheld: bool) -> None:
        """Take in a drift event.

        Parameters
        ----------
        at_least
            How large the change is at least, in the unit of the signal. Without it: the end of the event's
            interval that is nearest to no change.
        withheld
            During maintenance, when nothing begins to fire.
        """
        key = key_of(drift)
        until_ms = self._fed_until_ms.get(key, drift.detected_at_ms)
        taken_back = self._taken_back.pop(key, None)
        move = self._move(key)
        if move is not None and not move.leads_back(drift):
            move.moved_on(drift, at_least, until_ms)
            self._follow(move)
            for alarm in self._alarms.values():
                if alarm.moves.get(key) is move:
                    alarm.moved_on.append(move)
            return
        if move is not None:
            move.turned(drift, until_ms)
            if key.signal != "error" or drift.after < drift.before:
                return
        elif taken_back is not None and taken_back.leads_back(drift):
            return  # the detectors' way back from what late labels have taken back
        if not withheld:
            found = Move(drift, at_least, fed_until_ms=until_ms, pane_width_ms=self._width_ms)
            self._follow(found)
            self._found.append(found)

    def tell(self, at_ms: int) -> list[AlertEvent]:
        """Return what follows from what was taken in since the last time, evidence complete at ``at_ms``."""
        begun = self._sort_in()
        events: list[AlertEvent] = []
        for name, alarm in sorted(self._alarms.items()):
            if alarm.taken_over or not alarm.away():
                events += self._resolved(alarm, at_ms)
                self._end(name)
        for alarm in begun:
            events += alarm.life.fire(alarm.occasion(self._who, at_ms, together(alarm.drifts())))
            alarm.fired = alarm.life.fired
            alarm.joined.clear()
        for _, alarm in sorted(self._alarms.items()):
            if (alarm.joined or alarm.moved_on) and alarm.fired is not None:
                events += alarm.life.correct(alarm.fired, self._grown(alarm, at_ms))
                alarm.joined.clear()
                alarm.moved_on.clear()
        return events

    def revised(self, panes: Iterable[SignalPane], now_ms: int) -> list[AlertEvent]:
        """Take in panes of ``error`` that were fed before and have changed since, all that are due now.

        What turns out not to have changed, by at least what the event's interval said, is retracted; what
        changed by another amount is corrected.
        """
        touched: list[Alarm] = []
        for pane in panes:
            was = self._panes.replace(pane)
            if was is None:
                continue
            for alarm in (*self._alarms.values(), *self._ended):
                move = alarm.moves.get(pane.key)
                if move is not None and move.revise(was, pane) and alarm not in touched:
                    touched.append(alarm)
        events: list[AlertEvent] = []
        for alarm in touched:
            events += self._judged_again(alarm, now_ms)
        return events + (self.tell(now_ms) if touched else [])

    def give_up(self, now_ms: int) -> list[AlertEvent]:
        """Resolve what fires for a version that is no longer watched."""
        events: list[AlertEvent] = []
        for name, alarm in sorted(self._alarms.items()):
            drifts = alarm.drifts()
            text = f"{self._who}: no traffic any more, {named(drifts[0])} cannot be judged"
            events += alarm.life.resolve(
                Occasion(
                    min(drift.change_start_ms for drift in drifts),
                    now_ms,
                    now_ms,
                    text,
                    None,
                    {"resolution": "no traffic"},
                )
            )
            self._end(name)
        return events

    def _move(self, key: SignalKey) -> Move | None:
        for alarm in self._alarms.values():
            move = alarm.moves.get(key)
            if move is not None and move.ending is None and not alarm.taken_over:
                return move
        return next((move for move in self._found if move.key == key and move.ending is None), None)

    def _follow(self, move: Move) -> None:
        if move.key.signal == "error":
            move.followed(self._panes.of(move.key))

    def _sort_in(self) -> list[Alarm]:
        """Give each change found to an alarm and return the alarms that begin with it."""
        begun: list[Alarm] = []
        for move in sorted((move for move in self._found if move.ending is None), key=rank):
            alarm = self._alarm_for(move)
            if alarm.fired is None and alarm not in begun:
                begun.append(alarm)
            alarm.moves[move.key] = move
            alarm.joined.append(move)
        self._found.clear()
        return begun

    def _alarm_for(self, move: Move) -> Alarm:
        page, ticket = (self._alarms.get(life.subject.alertname) for life in (self._worse, self._other))
        if move.key.signal == "error":
            life = self._worse if move.rose else self._better
            alarm = self._alarms.setdefault(life.subject.alertname, Alarm(life, {}))
            if life is self._worse and ticket is not None and ticket.near(move):
                alarm.moves |= {other.key: other for other in ticket.away()}
                alarm.joined += ticket.away()
                ticket.taken_over = True
            return alarm
        if page is not None and page.near(move):
            return page
        return self._alarms.setdefault(self._other.subject.alertname, Alarm(self._other, {}))

    def _resolved(self, alarm: Alarm, at_ms: int) -> list[AlertEvent]:
        if alarm.fired is None:
            return []
        if alarm.taken_over:
            text = f"{self._who}: the error moved too, told by {self._worse.subject.alertname}"
            window = alarm.fired.window_start_ms, alarm.fired.window_end_ms
            return alarm.life.resolve(Occasion(*window, at_ms, text, None, {"resolution": "error drift"}))
        over = [move for move in alarm.moves.values() if move.ending is not None]
        # The one that ended last says why; with several at once, the gravest.
        last = max(over, key=lambda move: (move.ending.window_end_ms if move.ending else 0, -rank(move)[2]))
        ending, drift = last.ending, last.drift
        assert ending is not None, "chosen among those that ended"  # noqa: S101
        if ending.back is not None:
            text, drift = f"{self._who}: {change(ending.back)}", ending.back
        else:
            text = (
                f"{self._who}: {named(drift)} {ending.level:.4g}, {ending.reason} "
                f"(was {drift.before:.4g}, drifted to {drift.after:.4g})"
            )
        if len(over) > 1:
            text += f"; so have {len(over) - 1} more signals"
        found = evidence([drift]) | {"resolution": ending.reason, "signals_moved": len(alarm.moves)}
        if ending.values:
            found["labelled" if last.key.signal == "error" else "values"] = ending.values
        return alarm.life.resolve(
            Occasion(
                ending.window_start_ms,
                ending.window_end_ms,
                at_ms,
                text,
                ending.level,
                found,
                **what([last.drift]),
            )
        )

    def _end(self, name: str) -> None:
        alarm = self._alarms.pop(name)
        if alarm.fired is not None:
            self._ended = [*self._ended, alarm][-FOLLOWED_ALARMS:]

    def _judged_again(self, alarm: Alarm, now_ms: int) -> list[AlertEvent]:
        assert alarm.fired is not None, "what is found is told before panes are revised"  # noqa: S101
        verdicts = {move: move.judged() for move in alarm.moves.values()}
        gone = sorted((move for move, verdict in verdicts.items() if verdict == "gone"), key=rank)
        changed = sorted((move for move, verdict in verdicts.items() if verdict == "changed"), key=rank)
        if not gone and not changed:
            return []
        fires = alarm.life.fired is alarm.fired
        told = {move: move.drift for move in (*gone, *changed)}
        for move in (*gone, *changed):
            move.tell_by_now()
        reasons = [move for move in alarm.moves.values() if move.key.signal == "error" and move not in gone]
        occasion = self._taken(alarm, gone + changed, told, now_ms, is_gone=bool(gone))
        if not reasons:
            for name in [name for name, one in self._alarms.items() if one is alarm]:
                del self._alarms[name]
            self._ended = [one for one in self._ended if one is not alarm]
            self._taken_back |= {move.key: move for move in gone if move.ending is None}
            # What moved beside it has moved all the same.
            self._found += [move for move in alarm.away() if fires and move not in gone]
            if fires or alarm.life.fired is None:
                return alarm.life.retract(alarm.fired, occasion)
        # A retraction would end the alert that has fired since.
        for move in gone:
            alarm.moves.pop(move.key)
        return alarm.life.correct(alarm.fired, occasion)

    def _taken(
        self,
        alarm: Alarm,
        moves: list[Move],
        told: dict[Move, DriftEvent],
        now_ms: int,
        *,
        is_gone: bool,
    ) -> Occasion:
        now, was = moves[0].drift, told[moves[0]]
        text = f"{self._who}: by the labels known now {change(now)}"
        text += (
            ", no change that could be told" if is_gone else f", not from {was.before:.4g} to {was.after:.4g}"
        )
        occasion = alarm.occasion(self._who, now_ms, "")
        figures = {name: value for name, value in evidence([now]).items() if not name.startswith("signals")}
        more: dict[str, Scalar] = {
            "reason": "late labels",
            "told_before": was.before,
            "told_after": was.after,
        }
        return replace(
            occasion,
            summary=text,
            value=now.after,
            evidence=occasion.evidence | figures | more,
            metric=now.signal,
            segment=now.segment,
            feature=now.feature,
        )

    def _grown(self, alarm: Alarm, at_ms: int) -> Occasion:
        drifts = alarm.drifts()
        news = [change(move.drift) for move in alarm.moved_on]
        if alarm.joined:
            news = [f"{change(alarm.joined[0].drift)} too", *news]
            news += [f"{len(alarm.joined) - 1} more with it"] if len(alarm.joined) > 1 else []
        if not any(drift == move.drift for move in alarm.moved_on for drift in drifts[:1]):
            news.append(change(drifts[0]))
        occasion = alarm.occasion(self._who, at_ms, "; ".join(news))
        reason = "joined" if alarm.joined else "moved on"
        return replace(occasion, evidence=occasion.evidence | {"reason": reason})
