"""Producers that do not agree are told by name, and those that do never."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.partitioner import HASHES, Evidence, KeySample, Verdict, judge, place
from streams.partitioner.sample import KEPT
from streams.partitioner.verdict import needed

NAMES = ("inference-events", "label-events")
FINE = Verdict(known=True)


def ids(count: int, seed: int = 1) -> list[str]:
    draw = random.Random(seed)
    return [f"p-{draw.getrandbits(64):x}" for _ in range(count)]


def seen(
    count: int, partitions: int, by: str, *, partition: int | None = None, rest: str = "", share: float = 0.0
) -> Evidence:
    """Return what a sample says of keys placed by a hash, a ``share`` of them by another or by chance."""
    draw = random.Random(2)
    samples = [KeySample(p, partitions) for p in range(partitions)]
    for at, one in enumerate(ids(count)):
        key = one.encode()
        rule = rest if at < share * count else by
        lands = place(rule, key, partitions) if rule in HASHES else draw.randrange(partitions)
        samples[lands].add([key], [one])
    if partition is not None:
        return samples[partition].evidence
    total = Evidence(partitions)
    for sample in samples:
        total += sample.evidence
    return total


@pytest.mark.parametrize("by", HASHES)
@pytest.mark.parametrize("partitions", [2, 3, 8, 64])
def test_topics_that_go_by_one_hash_are_fine_whichever_it_is(by: str, partitions: int) -> None:
    one = seen(600, partitions, by)
    assert judge(NAMES, (one, one)) == (Verdict(known=True, partitioner=by),) * 2


@pytest.mark.parametrize("partition", range(3))
def test_one_partition_alone_sees_that_labels_come_from_librdkafkas_default(partition: int) -> None:
    evidence = (seen(400, 3, "murmur2", partition=partition), seen(400, 3, "CRC32", partition=partition))
    inference, labels = judge(NAMES, evidence)
    assert (inference.text, inference.partitioner, labels.partitioner) == ("", "murmur2", "CRC32")
    assert labels.text.startswith("label-events is placed by CRC32 (librdkafka's default")
    assert "inference-events by murmur2 (Java" in labels.text
    assert "set partitioner=murmur2_random in its producers" in labels.text


def test_of_two_hashes_the_one_that_is_not_kafkas_own_is_to_blame() -> None:
    fnv1a, murmur2 = seen(200, 4, "FNV-1a"), seen(200, 4, "murmur2")
    inference, labels = judge(NAMES, (fnv1a, murmur2))
    assert "Murmur2Balancer" in inference.text
    assert labels.text == ""
    both = judge(NAMES, (fnv1a, seen(200, 4, "CRC32")))
    assert all(verdict.text for verdict in both)


def test_keys_that_lie_anywhere_are_told_against_a_topic_that_is_placed() -> None:
    inference, labels = judge(NAMES, (seen(400, 4, "murmur2"), seen(400, 4, "chance")))
    assert inference.text == ""
    assert labels.text.startswith("label-events: no hash explains where its keys lie (murmur2 ")
    assert "chance gives 25%" in labels.text


def test_a_rule_of_the_users_own_is_fine_where_labels_meet_predictions_by_it() -> None:
    own = seen(400, 4, "chance")
    assert judge(NAMES, (own, own), meeting=0.98) == (FINE, FINE)
    assert all(verdict.text for verdict in judge(NAMES, (own, own), meeting=0.3))


def test_two_stray_keys_are_passed_over_and_three_are_told() -> None:
    keys = [one for one in ids(400) if place("murmur2", one.encode(), 4) == 1]
    stray = [one for one in ids(400, 5) if place("murmur2", one.encode(), 4) == 2]
    whole = seen(400, 4, "murmur2", partition=1)
    for count, told in ((2, False), (3, True)):
        sample = KeySample(1, 4)
        sample.add([one.encode() for one in keys + stray[:count]], keys + stray[:count])
        _, labels = judge(NAMES, (whole, sample.evidence))
        assert bool(labels.text) == told
        assert not told or labels.text.startswith(f"label-events: 3 of {len(keys) + 3} sampled keys are not")


def test_records_without_a_key_are_told() -> None:
    sample = KeySample(0, 2)
    sample.add([None, b"", None], [None, None, "p1"])
    _, labels = judge(NAMES, (seen(100, 2, "murmur2"), sample.evidence))
    assert labels.text.startswith("label-events: 3 of 3 sampled records have no key")


def test_keys_in_quotes_are_shown_when_the_other_topics_keys_are_plain_ids() -> None:
    whole = seen(400, 4, "murmur2")
    sample = KeySample(1, 4)
    quoted = [(f'"{one}"'.encode(), one) for one in ids(800)]
    mine = [pair for pair in quoted if place("murmur2", pair[0], 4) == 1]
    sample.add(*zip(*mine, strict=True))
    inference, labels = judge(NAMES, (whole, sample.evidence))
    assert inference.text == ""
    assert labels.text.startswith('label-events: keys are no prediction ids (one is "p-')
    assert judge(NAMES, (sample.evidence, sample.evidence))[0].text == ""  # the same key for both is as good


def test_one_partition_or_few_keys_are_no_reason_to_speak() -> None:
    alone = seen(500, 1, "chance")
    assert judge(NAMES, (alone, alone)) == (FINE, FINE)
    few = seen(needed(4) - 1, 4, "CRC32")
    assert judge(NAMES, (few, few)) == (Verdict(known=False),) * 2
    enough = seen(needed(4), 4, "murmur2")
    assert judge(NAMES, (enough, few)) == (Verdict(known=True, partitioner="murmur2"), Verdict(known=False))


def test_counts_that_differ_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^inference-events has 2 partitions, label-events 3: no hash"):
        judge(NAMES, (Evidence(2), Evidence(3)))


def test_a_sample_keeps_the_newest_keys_and_each_once() -> None:
    sample = KeySample(0, 2)
    old, new = ids(KEPT, 3), ids(KEPT, 4)
    sample.add([one.encode() for one in old], old)
    for _ in range(3):
        sample.add([one.encode() for one in new], new)
    right = sum(place("CRC32", one.encode(), 2) == 0 for one in new)
    assert (sample.evidence.keys, sample.evidence.fits[1]) == (KEPT, right)


@settings(max_examples=60, deadline=None)
@given(
    partitions=st.integers(2, 40),
    by=st.sampled_from(sorted(HASHES)),
    keys=st.lists(st.binary(min_size=1, max_size=40), unique=True, max_size=300),
)
def test_no_keys_placed_by_one_hash_ever_alarm(partitions: int, by: str, keys: Sequence[bytes]) -> None:
    for partition in range(min(partitions, 3)):
        sample = KeySample(partition, partitions)
        own = [key for key in keys if place(by, key, partitions) == partition]
        sample.add(own, [None] * len(own))
        for verdict in judge(NAMES, (sample.evidence, sample.evidence)):
            assert verdict.text == ""
