"""A partition at work, with a consumer and a sender that the test holds in its hands."""

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from faust.types import TP

from schemas import messages
from schemas.checkpoints import Checkpoint
from schemas.findings import Progress, Trouble
from schemas.records import RawBatch
from streams.decode import Decoder, RegistryUnavailable
from streams.worker.alignment import Side
from streams.worker.batches import BatchMessage, Records, raw_batch
from streams.worker.checkpoint_records import CheckpointRecords, Gap, stored
from streams.worker.errors import SendFailedError
from streams.worker.partition_runner import PartitionRunner
from streams.worker.resuming import Start, first_start
from streams.worker.sending import Outgoing
from streams.worker.settings import WorkerSettings

INFERENCE, LABELS = TP("inference-events", 0), TP("label-events", 0)
NOW_MS = 1_800_000_000_000
SETTINGS = WorkerSettings({"bootstrap.servers": "nowhere"}, send_interval_s=0.02)


def prediction(offset: int) -> bytes:
    event = {"prediction_id": f"p{offset}", "model": "m", "timestamp": NOW_MS, "prediction": True}
    return json.dumps(event).encode()


def predictions(*offsets: int) -> Records:
    return records({offset: prediction(offset) for offset in offsets})


def records(values: dict[int, bytes]) -> Records:
    count = len(values)
    return Records(np.array(list(values)), np.full(count, NOW_MS), 1, [b"k"] * count, list(values.values()))


class Hands:
    """The consumer and the sender of a test."""

    def __init__(self) -> None:
        self.handed: dict[TP, int] = {INFERENCE: 0, LABELS: 0}
        self.ends: dict[TP, int] = {INFERENCE: 0, LABELS: 0}
        self.acked: list[int] = []
        self.released: list[int] = []
        self.sent: list[Outgoing] = []
        self.refuse = False

    def caught_up(self, tp: TP) -> bool:
        return self.handed[tp] >= self.ends[tp]

    def handed_over(self, tp: TP) -> int | None:
        return self.handed[tp]

    def release(self, message: BatchMessage) -> None:
        self.released.append(message.offset)

    def ack(self, message: BatchMessage) -> bool:
        self.acked.append(message.offset)
        return True

    async def send(self, outgoing: Sequence[Outgoing]) -> None:
        await asyncio.sleep(0)
        if self.refuse:
            raise SendFailedError("refused")
        self.sent += outgoing

    def hand(self, runner: PartitionRunner, tp: TP, records: Records) -> None:
        self.handed[tp] = records.next_offset
        runner.put(BatchMessage(tp, records, 0, 1))

    def rows(self) -> int:
        """Predictions in what was sent, where a newer row of a pane stands for those before it."""
        told = {}
        for m in self.sent:
            if m.headers == ((messages.KIND_HEADER, messages.PANES),):
                for row in messages.decode_panes(m.value).to_pylist():
                    told[row["pane_start"], row["segment"]] = row["predictions"]
        return sum(predictions for (_, segment), predictions in told.items() if not segment)

    def progress(self) -> list[Progress]:
        kind = ((messages.KIND_HEADER, messages.PROGRESS),)
        return [messages.decode(m.value, Progress) for m in self.sent if m.headers == kind]

    def letters(self) -> list[int]:
        return [json.loads(m.value)["offset"] for m in self.sent if m.topic == "dead-letter-events"]


class FixedClock:
    speed = 1.0

    def now_ms(self) -> int:
        return NOW_MS + 10_000


Scene = Callable[[PartitionRunner, Hands], Awaitable[None]]


def play(
    scene: Scene,
    *,
    start: Start | None = None,
    decoder: Decoder | None = None,
    settings: WorkerSettings = SETTINGS,
    records: CheckpointRecords | None = None,
    runs: bool = True,
    reread: Sequence[tuple[Side, Records] | asyncio.Event] = (),
) -> None:
    async def read_again(checkpoint: Checkpoint) -> AsyncGenerator[tuple[Side, RawBatch], None]:
        for one in reread:
            if isinstance(one, asyncio.Event):
                await one.wait()
            else:
                yield one[0], raw_batch(INFERENCE if one[0] == "inference" else LABELS, one[1])

    async def run() -> None:
        hands = Hands()
        begin = start or Start(3, first_start(0, {"inference": 0, "labels": 0}, 0))
        runner = PartitionRunner(
            0, (1, 2), begin, settings, decoder or Decoder(), FixedClock(), hands, hands, read_again, records
        )
        task = asyncio.create_task(runner.run()) if runs else None
        try:
            await scene(runner, hands)
        finally:
            if task is not None:
                task.cancel()
                await asyncio.wait([task])

    asyncio.run(run())


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 (anything may become true)
            await asyncio.sleep(0.005)


def test_rows_are_sent_then_progress_to_every_partition_and_only_then_the_batch_is_acknowledged() -> None:
    async def scene(runner: PartitionRunner, hands: Hands) -> None:
        hands.hand(runner, INFERENCE, predictions(0, 1, 2))
        await until(lambda: hands.acked == [0])
        assert hands.rows() == 3
        first = next(i for i, m in enumerate(hands.sent) if m.headers[0][1] == messages.PANES)
        assert [m.partition for m in hands.sent[first + 1 :] if m.headers[0][1] == messages.PROGRESS][:2] == [
            0,
            1,
        ]
        floor_ms = (NOW_MS + 9_500 - 24 * 3_600_000) // 60_000 * 60_000
        assert hands.progress()[-1] == Progress(
            0, 1, 3, NOW_MS + 9_500, NOW_MS + 9_500, True, floor_ms, inference_offset=3, label_offset=0
        )

    play(scene)


def test_features_are_sent_once_their_pane_has_closed_and_before_the_progress_that_says_so() -> None:
    def event(offset: int, time_ms: int) -> bytes:
        event = {"prediction_id": f"p{offset}", "model": "m", "timestamp": time_ms, "prediction": True}
        return json.dumps(event | {"features": {"a": offset, "b": "x"}}).encode()

    async def scene(runner: PartitionRunner, hands: Hands) -> None:
        hands.hand(runner, INFERENCE, records({0: event(0, NOW_MS - 60_000), 1: event(1, NOW_MS)}))
        await until(lambda: hands.acked == [0])
        kinds = [m.headers[0][1] for m in hands.sent if m.headers]
        assert kinds.index(messages.PANES) < kinds.index(messages.FEATURES) < kinds.index(messages.PROGRESS)
        (told,) = (m for m in hands.sent if m.headers == ((messages.KIND_HEADER, messages.FEATURES),))
        rows = messages.decode_features(told.value).to_pylist()
        assert [(row["feature"], row["n"], row["sum"]) for row in rows] == [("a", 1, 0.0), ("b", 1, 0.0)]
        assert {row["pane_start"].timestamp() * 1000 for row in rows} == {NOW_MS - 60_000}
        assert told.key == b"m"

    play(scene)


def test_a_batch_whose_results_are_refused_is_never_acknowledged() -> None:
    async def scene(runner: PartitionRunner, hands: Hands) -> None:
        hands.refuse = True
        hands.hand(runner, INFERENCE, predictions(0))
        with pytest.raises(SendFailedError):
            await runner.run()
        assert hands.acked == []

    play(scene, runs=False)


def restored_at(inference: int, labels: int, *, low: int = 0, epoch: int = 4) -> Start:
    checkpoint = Checkpoint(0, epoch - 1, inference, labels, low, 0, 0, (), (), NOW_MS - 1, NOW_MS - 1)
    return Start(epoch, checkpoint)


def test_nothing_is_sent_before_both_topics_are_read_to_the_checkpoint_then_all_of_it_is() -> None:
    half_way = asyncio.Event()

    async def scene(runner: PartitionRunner, hands: Hands) -> None:
        hands.hand(runner, INFERENCE, predictions(4))
        await until(lambda: runner.standing.restored == (2, 4))
        await runner.send()
        assert (hands.sent, hands.acked, hands.released) == ([], [], [])
        assert not runner.standing.settled
        half_way.set()
        await until(lambda: hands.acked == [4])
        assert hands.rows() == 5
        assert runner.standing.settled
        assert {m.headers for m in hands.sent if m.key == b"checkpoint"} == {()}

    again = [("inference", predictions(0, 1)), half_way, ("inference", predictions(2, 3))]
    play(scene, start=restored_at(4, 0), records=CheckpointRecords("aftcast-state"), reread=again)


def test_a_restored_partition_tells_so_at_once_and_not_with_the_next_send() -> None:
    async def scene(_: PartitionRunner, hands: Hands) -> None:
        await until(lambda: bool(hands.progress()))
        assert {told.epoch for told in hands.progress()} == {4}

    play(
        scene,
        settings=replace(SETTINGS, send_interval_s=3_600),
        start=restored_at(2, 0),
        reread=[("inference", predictions(0, 1))],
    )


def test_a_log_whose_last_offset_before_the_checkpoint_is_no_record_is_restored_all_the_same() -> None:
    async def scene(runner: PartitionRunner, hands: Hands) -> None:
        await until(lambda: runner.standing.settled)
        hands.hand(runner, INFERENCE, predictions(5))
        await until(lambda: hands.acked == [5])
        assert hands.rows() == 4

    # A transaction's mark at 3, and at 4 of which nobody sees anything.
    play(scene, start=restored_at(5, 0), reread=[("inference", predictions(0, 1, 2))])


def test_dead_letters_below_the_checkpoint_were_sent_with_it_and_are_not_sent_again() -> None:
    async def scene(runner: PartitionRunner, hands: Hands) -> None:
        hands.hand(runner, INFERENCE, records({2: b"{"}))
        await until(lambda: hands.acked == [2])
        assert hands.letters() == [2]

    play(scene, start=restored_at(2, 0), reread=[("inference", records({0: b"{", 1: prediction(1)}))])


def checkpoints(hands: Hands) -> list[Checkpoint]:
    found: dict[bytes, bytes] = {}
    told = []
    for message in hands.sent:
        if message.topic == "aftcast-state":
            assert (message.partition, message.key is not None) == (0, True)
            found[message.key or b""] = message.value
            if message.key == b"checkpoint":
                newest = stored(found, "aftcast-state[0]")
                assert newest is not None
                told.append(newest.checkpoint)
    return told


def test_every_group_of_messages_ends_with_the_checkpoint_that_covers_it() -> None:
    async def scene(runner: PartitionRunner, hands: Hands) -> None:
        hands.hand(runner, INFERENCE, predictions(5, 6, 7))
        await until(lambda: hands.acked == [5])
        assert hands.sent[-1].key == b"checkpoint"
        newest = checkpoints(hands)[-1]
        assert (newest.epoch, newest.inference_offset, newest.inference_low) == (3, 8, 5)
        assert (newest.label_offset, newest.inference_ms) == (0, NOW_MS + 9_500)

    play(scene, records=CheckpointRecords("aftcast-state"))


def test_progress_never_falls_behind_what_the_worker_before_had_told() -> None:
    async def scene(runner: PartitionRunner, hands: Hands) -> None:
        hands.ends[LABELS] = 9  # far behind
        await runner.send()
        assert [(p.inference_ms, p.labels_ms) for p in hands.progress()[:1]] == [(NOW_MS + 9_500, NOW_MS - 1)]

    play(scene, start=restored_at(0, 0), runs=False)


def test_handed_back_it_sends_what_is_ready_and_nothing_more_until_it_is_ours_again() -> None:
    async def scene(runner: PartitionRunner, hands: Hands) -> None:
        hands.hand(runner, INFERENCE, predictions(0, 1, 2))
        await until(lambda: hands.released == [0])
        await runner.hand_back()
        assert hands.rows() == 3
        sent = len(hands.sent)
        await runner.send()
        assert len(hands.sent) == sent
        assert runner.resume() == {INFERENCE: 3, LABELS: 0}
        await runner.send()
        assert len(hands.sent) > sent

    play(scene)


def test_a_partition_that_moves_while_it_is_restored_reads_on_behind_its_checkpoint() -> None:
    moved = asyncio.Event()

    async def scene(runner: PartitionRunner, hands: Hands) -> None:
        hands.hand(runner, INFERENCE, predictions(4))
        await until(lambda: runner.standing.restored == (2, 4))
        assert runner.resume() == {INFERENCE: 4, LABELS: 0}
        moved.set()
        hands.hand(runner, INFERENCE, predictions(4))
        await until(lambda: hands.acked != [])
        assert hands.rows() == 5

    again = [("inference", predictions(0, 1)), moved, ("inference", predictions(2, 3))]
    play(scene, start=restored_at(4, 0), reread=again)


def test_a_gap_is_told_once_and_that_it_is_over_when_both_topics_are_past_it() -> None:
    gap = Gap("label-events", NOW_MS + 5_000)
    start = replace(restored_at(0, 0), gaps=(gap,), found=((gap, "label-events[0]: gone"),))

    async def scene(runner: PartitionRunner, hands: Hands) -> None:
        hands.ends[LABELS] = 9
        for _ in range(2):
            await runner.send()
        hands.ends[LABELS] = 0
        for _ in range(2):
            await runner.send()
        kind = ((messages.KIND_HEADER, messages.TROUBLE),)
        told = [(m.partition, messages.decode(m.value, Trouble)) for m in hands.sent if m.headers == kind]
        assert [(p, t.kind, t.subject, t.over) for p, t in told] == [
            (0, "state_gap", "label-events[0]", False),
            (0, "state_gap", "label-events[0]", True),
        ]
        assert told[0][1].summary == "label-events[0]: gone"
        assert "2027-01-15T08:00:05" in told[1][1].summary
        whole = {m.key: m.value for m in hands.sent if m.topic == "aftcast-state"}
        assert stored(whole, "") is not None

    play(scene, start=start, runs=False, records=CheckpointRecords("aftcast-state"))


def test_while_the_registry_is_away_good_messages_wait_and_none_is_set_aside() -> None:
    class Away(Decoder):
        away = True

        def decode_inference(self, raw):  # type: ignore[no-untyped-def]
            if self.away:
                raise RegistryUnavailable("schema registry: 503")
            return super().decode_inference(raw)

    decoder = Away()

    async def scene(runner: PartitionRunner, hands: Hands) -> None:
        hands.hand(runner, INFERENCE, predictions(0, 1))
        await until(lambda: runner.standing.held_by == "schema registry: 503")
        assert hands.acked == []
        decoder.away = False
        await until(lambda: hands.acked == [0])
        assert (hands.letters(), hands.rows(), runner.standing.held_by) == ([], 2, "")

    play(scene, decoder=decoder)


def test_a_rebalance_that_leaves_us_our_partition_goes_on_behind_what_is_applied_without_counting_twice() -> (
    None
):
    async def scene(runner: PartitionRunner, hands: Hands) -> None:
        hands.ends[LABELS] = 1  # labels are behind, so the second batch waits
        hands.hand(runner, INFERENCE, predictions(0, 1))
        assert runner.resume() == {INFERENCE: 0, LABELS: 0}
        hands.ends[LABELS] = 0
        hands.handed[INFERENCE] = 0
        hands.hand(runner, INFERENCE, predictions(0, 1))
        await until(lambda: hands.acked == [0])
        assert runner.resume() == {INFERENCE: 2, LABELS: 0}
        hands.hand(runner, INFERENCE, predictions(2))
        await until(lambda: hands.acked == [0, 2])
        counters = runner.standing.counters
        assert (counters.inference_read, counters.join.duplicates) == (3, 0)

    play(scene)


def test_a_partition_that_knows_no_time_yet_tells_no_progress() -> None:
    async def scene(runner: PartitionRunner, hands: Hands) -> None:
        hands.ends[INFERENCE] = hands.ends[LABELS] = 5
        await runner.send()
        assert hands.progress() == []

    play(scene, runs=False)


def test_told_to_stop_it_sends_what_is_ready_and_ends() -> None:
    async def scene(runner: PartitionRunner, hands: Hands) -> None:
        hands.hand(runner, INFERENCE, predictions(0, 1, 2))
        running = asyncio.create_task(runner.run())
        await until(lambda: hands.released == [0])
        runner.stop()
        await asyncio.wait_for(running, 5)
        assert (hands.acked, hands.rows()) == ([0], 3)

    play(scene, runs=False)
