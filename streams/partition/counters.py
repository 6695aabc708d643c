"""What a stage tells of itself: where every event went."""

from dataclasses import dataclass

from streams.join.hot import JoinCounters


@dataclass(frozen=True, slots=True)
class StageCounters:
    """Where every event went, since the start.

    ``inference_read = join.accepted + join.duplicates + tests + inference_dead_lettered`` and
    ``labels_read = join.labels + labels_dead_lettered``, at any moment. Implicit labels are not read:
    ``join.implicit`` of them were given, ``implicit_cold`` predictions left memory before theirs was due
    (only where the cap raised the floor), and ``implicit_unusable`` got none as theirs is no number and they
    are a regression's. ``scores_not_one`` predictions came with several scores that do not sum to one.
    """

    inference_read: int
    inference_dead_lettered: int
    tests: int
    labels_read: int
    labels_dead_lettered: int
    join: JoinCounters
    floors_raised_by_cap: int
    implicit_cold: int = 0
    implicit_unusable: int = 0
    scores_not_one: int = 0
