"""Fingerprints are Alertmanager's; an event's id follows from what was said before."""

from hypothesis import given
from hypothesis import strategies as st

from streams.alerts.fingerprint import event_id, fingerprint, fnv1a_64

LABELS = st.dictionaries(st.text(min_size=1, max_size=8), st.text(max_size=8), max_size=6)


def by_hand(data: bytes) -> int:
    """FNV-1a with the prime written out: 2**40 + 2**8 + 0xb3."""
    value = 14695981039346656037
    for byte in data:
        value ^= byte
        value = ((value << 40) + (value << 8) + value * 0xB3) % 2**64
    return value


def test_hashes_are_those_of_the_algorithms_own_test_vectors() -> None:
    vectors = {b"": 0xCBF29CE484222325, b"a": 0xAF63DC4C8601EC8C, b"foobar": 0x85944171F73967E8}
    assert {data: fnv1a_64(data) for data in vectors} == vectors


def test_an_empty_set_of_labels_has_the_offset_basis() -> None:
    assert fingerprint({}) == "cbf29ce484222325"


@given(LABELS)
def test_fingerprint_is_over_sorted_names_and_values_each_ended_by_255(labels: dict[str, str]) -> None:
    data = b"".join(part.encode() + bytes([255]) for name in sorted(labels) for part in (name, labels[name]))
    assert fingerprint(labels) == format(by_hand(data), "016x")


def test_fingerprint_does_not_depend_on_the_order_of_labels() -> None:
    assert fingerprint({"a": "1", "b": "2"}) == fingerprint({"b": "2", "a": "1"})


def test_fingerprint_tells_apart_what_only_the_ends_of_values_tell_apart() -> None:
    assert fingerprint({"a": "bc"}) != fingerprint({"ab": "c"})


def test_event_ids_differ_by_status_window_and_number() -> None:
    ids = {event_id("f" * 16, s, w, n) for s in ("firing", "resolved") for w in (1, 2) for n in (0, 1)}
    assert len(ids) == 8
    assert event_id("f" * 16, "firing", 1, 0) in ids
