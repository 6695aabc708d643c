"""The accounts after a run: what went in held against what every reader finds: lost, doubled, wrong."""

import sys
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Set
from dataclasses import dataclass, field
from functools import cached_property
from math import isclose
from pathlib import Path
from typing import Any

from following import Follower, whole
from partition_counts import PartitionCounts
from sent_traffic import INFERENCE, LABELS, Sent

sys.path.append(str(Path(__file__).parents[1] / "replay"))
from recorded import expected, full_join
from stage_oracle import rows_of

from aftcast.configuration import Topics
from sinks.clickhouse.client import Client

WINDOW_MS = 60_000
TEXTBOOK = ("binary", "many", "price")  # models without weights
SHOWN = 5


@dataclass
class Account:
    """One line of the table; ``wrong`` are those that are there, but not as they should be."""

    what: str
    expected: int
    found: int
    lost: int = 0
    doubled: int = 0
    wrong: int = 0
    examples: list[str] = field(default_factory=list)

    @property
    def right(self) -> bool:
        return not (self.lost or self.doubled or self.wrong)


class Truth:
    """What the input topics hold, by the generator's own record of each message."""

    def __init__(self, bootstrap: str, topics: Topics, sent: Mapping[int, Sent], width_ms: int) -> None:
        self.counts: dict[int, PartitionCounts] = defaultdict(lambda: PartitionCounts(width_ms))
        self.readable: dict[str, set[tuple[int, int]]] = {INFERENCE: set(), LABELS: set()}
        self.dead: dict[tuple[str, int, int], str] = {}  # topic, partition, offset
        self.predictions: list[dict[str, Any]] = []
        self.labels: list[dict[str, Any]] = []
        self.arrived: Counter[int] = Counter()
        for side, topic in ((INFERENCE, topics.inference), (LABELS, topics.labels)):
            for message in whole(bootstrap, topic):
                number = int(dict(message.headers())["number"])
                self.arrived[number] += 1
                self._take(sent[number], message, topic, side)
        for partition, counts in self.counts.items():
            for (side, offset), why in counts.dead.items():
                topic = topics.inference if side == INFERENCE else topics.labels
                self.dead[topic, partition, offset] = why

    @cached_property
    def rows(self) -> dict[int, dict[Any, dict[str, Any]]]:
        """The rows of each partition."""
        return {partition: counts.rows() for partition, counts in sorted(self.counts.items())}

    @cached_property
    def counted(self) -> tuple[int, int, int]:
        """Predictions, labelled pairs and repeats."""
        rows = [row for rows in self.rows.values() for key, row in rows.items() if not key[2]]
        return tuple(sum(row[name] for row in rows) for name in ("predictions", "labelled", "duplicates"))

    def _take(self, sent: Sent, message: Any, topic: str, side: str) -> None:
        partition, offset = message.partition(), message.offset()
        if sent.document is None:
            self.dead[topic, partition, offset] = "unreadable"
            return
        self.readable[side].add((partition, offset))
        document = sent.document | {"record_time_ms": message.timestamp()[1]}
        if side == INFERENCE:
            self.counts[partition].take_prediction(offset, document)
            if document["role"] != "test":
                self.predictions.append(document)
        else:
            self.counts[partition].take_label(offset, document)
            if not sent.dead:
                self.labels.append(document)


def compared(what: str, wanted: Iterable[Hashable], found: Iterable[Hashable]) -> Account:
    """Hold what was found against what should be there once each."""
    want, got = set(wanted), Counter(found)
    lost = want - got.keys()
    strange = got.keys() - want
    doubled = {one for one, n in got.items() if n > 1}
    account = Account(what, len(want), sum(got.values()), len(lost), len(doubled), len(strange))
    for name, some in (("lost", lost), ("doubled", doubled), ("not expected", strange)):
        account.examples += [f"{name}: {one}" for one in sorted(some, key=str)[:SHOWN]]
    return account


def input_account(truth: Truth, sent: Set[int], refused: Set[int]) -> Account:
    """Return whether the topics hold what was sent; if not, it is the broker that lost it, not the worker."""
    wanted = sent - (refused - truth.arrived.keys())
    return compared("records acknowledged, in the input topics", wanted, truth.arrived.elements())


def letter_account(what: str, truth: Truth, letters: Iterable[Mapping[str, Any]]) -> Account:
    return compared(what, truth.dead, ((one["topic"], one["partition"], one["offset"]) for one in letters))


def pane_account(truth: Truth, follower: Follower) -> list[Account]:
    """Hold the newest row of each pane and partition against the oracle, in every column."""
    batches = defaultdict(list)
    for key, (_, batch) in follower.rows.items():
        batches[key[4]].append(batch)
    rows = Account("pane rows, each column", 0, 0)
    pairs = Account("predictions, pairs, repeats in panes", 0, 0)
    for partition, want in truth.rows.items():
        got = rows_of(batches[partition])
        got = {key: row for key, row in got.items() if row["predictions"] or row["duplicates"]}
        rows.expected += len(want)
        rows.found += len(got)
        for key in want.keys() | got.keys():
            mine, theirs = want.get(key), got.get(key)
            if not key[2]:
                _add_counts(pairs, mine or {}, theirs or {})
            if mine == theirs:
                continue
            rows.lost += theirs is None
            rows.wrong += theirs is not None
            if len(rows.examples) < SHOWN:
                rows.examples.append(f"{partition} {key}: {_difference(mine, theirs)}")
    return [rows, pairs]


def merged_account(truth: Truth, follower: Follower) -> list[Account]:
    """Hold predictions, pairs and repeats of each pane against the oracle, over all partitions."""
    names = ("predictions", "labelled", "duplicates")
    want: dict[Any, Counter[str]] = defaultdict(Counter)
    for rows in truth.rows.values():
        for (model, version, segment, start_ms), row in rows.items():
            if not segment:
                want[model, version, start_ms].update({name: row[name] for name in names})
    got: dict[Any, Counter[str]] = defaultdict(Counter)
    cold = 0
    for (model, version, _, start_ms, partition), counts in follower.totals.items():
        got[model, version, start_ms].update(dict(zip(names, counts, strict=True)))
        cold += partition < 0
    account = Account(f"predictions, pairs, repeats; {cold} panes cold", 0, 0)
    for key in want.keys() | got.keys():
        _add_counts(account, want[key], got[key])
        if want[key] != got[key] and len(account.examples) < SHOWN:
            account.examples.append(f"{key}: {dict(got[key])} instead of {dict(want[key])}")
    return [account]


def _add_counts(account: Account, mine: Mapping[str, int], theirs: Mapping[str, int]) -> None:
    for name in ("predictions", "labelled", "duplicates"):
        want, got = mine.get(name, 0), theirs.get(name, 0)
        account.expected += want
        account.found += got
        account.lost += max(0, want - got)
        account.doubled += max(0, got - want)


def _difference(mine: Mapping[str, Any] | None, theirs: Mapping[str, Any] | None) -> str:
    if mine is None or theirs is None:
        return "not there" if theirs is None else "not expected"
    return ", ".join(
        f"{name} {theirs[name]} instead of {mine[name]}" for name in mine if mine[name] != theirs[name]
    )[:400]


def store_accounts(truth: Truth, client: Client) -> list[Account]:
    """Hold ClickHouse's raw rows and dead letters against the topics."""
    accounts = []
    for table, side in (("predictions", INFERENCE), ("labels", LABELS)):
        found = client.rows(f"SELECT partition, offset FROM {table} FINAL")  # noqa: S608
        places = ((row["partition"], row["offset"]) for row in found)
        accounts.append(compared(f"{table} in ClickHouse", truth.readable[side], places))
    letters = client.rows("SELECT topic, partition, offset FROM dead_letters FINAL")
    accounts.append(letter_account("dead letters in ClickHouse", truth, letters))
    return accounts


def quality_account(truth: Truth, client: Client) -> Account:
    """Hold ``model_quality`` against scikit-learn over the full join, window by window."""
    joined = full_join(truth.predictions, truth.labels)
    joined["window"] = joined["timestamp"] // WINDOW_MS * WINDOW_MS
    want = {}
    for segment in ("", "country=DE", "country=FR"):
        country = segment.removeprefix("country=")
        own = joined if not segment else joined[[s["country"] == country for s in joined["segments"]]]
        for key, rows in own.groupby(["model", "model_version", "window"]):
            if key[0] in TEXTBOOK:
                want[(*key, segment)] = expected(rows, key[0])
    statement = f"SELECT * FROM model_quality(window_seconds = {WINDOW_MS // 1000})"  # noqa: S608
    got = {
        (r["model"], r["model_version"], round(r["window_start"].timestamp() * 1000), r["segment"]): r
        for r in client.rows(statement)
        if r["model"] in TEXTBOOK
    }
    account = Account("windows of model_quality, each figure", len(want), len(got))
    account.lost = len(want.keys() - got.keys())
    account.wrong = len(got.keys() - want.keys())
    for key in want.keys() & got.keys():
        off = [name for name, value in want[key].items() if not _equal(got[key][name], value)]
        account.wrong += bool(off)
        if off and len(account.examples) < SHOWN:
            told = ", ".join(f"{name} {got[key][name]} instead of {want[key][name]}" for name in off)
            account.examples.append(f"{key}: {told}"[:400])
    return account


def _equal(found: float | None, wanted: float | None) -> bool:
    if found is None or wanted is None:
        return found is None and wanted is None
    return isclose(found, wanted, rel_tol=1e-9, abs_tol=1e-9)


def alert_accounts(alerts: list[dict[str, Any]], rule: str, incidents: int, client: Client) -> list[Account]:
    """Hold the alerts of committed data against the incidents, and ClickHouse against them."""
    once = compared("alert events, by id", (a["event_id"] for a in alerts), (a["event_id"] for a in alerts))
    of_rule = [a for a in alerts if a["rule"] == rule]
    account = Account(f"incidents: {rule} fired, then resolved", 2 * incidents, 0)
    by_fingerprint: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for alert in alerts:
        by_fingerprint[alert["fingerprint"]].append(alert)
    for history in by_fingerprint.values():
        fires = False
        for alert in history:
            if alert["status"] in ("firing", "resolved"):
                if fires == (alert["status"] == "firing"):
                    account.doubled += 1
                    account.examples.append(f"{alert['status']} again: {alert['summary']}")
                fires = alert["status"] == "firing"
            elif alert["status"] == "retracted":
                fires = False
    for status in ("firing", "resolved"):
        n = sum(a["status"] == status for a in of_rule) - sum(a["status"] == "retracted" for a in of_rule)
        account.found += n
        account.lost += max(0, incidents - n)
        account.wrong += max(0, n - incidents)
    if not account.right:
        account.examples += [f"{a['status']}: {a['summary']}" for a in of_rule]
    stored = (row["event_id"] for row in client.rows("SELECT event_id FROM alerts FINAL"))
    return [once, account, compared("alert events in ClickHouse", {a["event_id"] for a in alerts}, stored)]


def table(accounts: list[Account]) -> str:
    """Return the accounts as a table, with examples of what is not right below it."""
    lines = [f"{'':44}{'expected':>10}{'found':>10}{'lost':>8}{'doubled':>9}{'wrong':>7}"]
    for one in accounts:
        counts = f"{one.expected:>10,}{one.found:>10,}{one.lost:>8,}{one.doubled:>9,}{one.wrong:>7,}"
        lines.append(f"{one.what:44}{counts}")
    for one in accounts:
        lines += [f"  {one.what}: {example}" for example in one.examples]
    return "\n".join(lines)
