"""Whether a prediction and its label come to lie on the same partition, and which topic is to blame if not.

A wrong hash puts a key on the right one of n partitions with a chance of 1 in n, so that it explains k keys
by chance once in n**k times: 30 keys of two partitions, or ten of eight, tell hashes apart once and for all.
"""

from dataclasses import dataclass

from streams.partitioner.hashes import HASHES
from streams.partitioner.sample import Evidence

MISTAKEN_ONCE_IN = 10**9
FEWEST = 20  # keys, however many partitions
FEW = 3  # keys that lie elsewhere: fewer could be one retry of one program
EXPLAINS = 0.9  # of the keys; a wrong hash fits at most half of them
MEETING = 0.75  # of the labels find their prediction: by chance at most half of them would
MURMUR2 = "murmur2"
REMEDIES = {
    "murmur2": "",
    "CRC32": "set partitioner=murmur2_random in its producers (librdkafka)",
    "FNV-1a": "give its producers a murmur2 partitioner (kafka-go: Murmur2Balancer)",
}
COLD = "what was separated is joined cold"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong with where a topic's keys lie: '' if nothing; ``known`` is false before enough came."""

    known: bool
    text: str = ""
    partitioner: str = ""  # the hash by which it goes


def needed(partitions: int) -> int:
    """Return how many keys tell hashes apart.

    Examples
    --------
    >>> [needed(partitions) for partitions in (2, 3, 64)]
    [30, 20, 20]
    """
    keys = 0
    while partitions**keys < MISTAKEN_ONCE_IN:
        keys += 1
    return max(FEWEST, keys)


def judge(
    names: tuple[str, str], evidence: tuple[Evidence, Evidence], meeting: float | None = None
) -> tuple[Verdict, Verdict]:
    """Judge the two input topics, each against the other.

    Parameters
    ----------
    names
        Of the topics, as the text names them; predictions first.
    evidence
        Of each, with the same number of partitions; with one partition nothing can be wrong.
    meeting
        Share of the labels that found their prediction, where it is known: producers may have a rule of
        their own that no hash explains, and if they meet it is the same one.
    """
    first, second = evidence
    if first.partitions != second.partitions:
        raise ValueError(
            f"{names[0]} has {first.partitions} partitions, {names[1]} {second.partitions}: "
            "no hash puts a key on the same one of both"
        )
    if first.partitions == 1:
        return Verdict(known=True), Verdict(known=True)
    enough = needed(first.partitions)
    hashes = [_explains(one) if one.keys >= enough else None for one in evidence]
    verdicts = []
    for at in range(2):
        own, other = evidence[at], evidence[1 - at]
        text = _keyless(names[at], own) or _no_ids(names, at, own, other, enough)
        if not text and hashes[at] is not None:
            text = _elsewhere(names, at, evidence, (hashes[at] or "", hashes[1 - at]), meeting)
        verdicts.append(Verdict(bool(text) or hashes[at] is not None, text, hashes[at] or ""))
    return verdicts[0], verdicts[1]


def _explains(evidence: Evidence) -> str:
    best = max(evidence.fits)
    return list(HASHES)[evidence.fits.index(best)] if best >= EXPLAINS * evidence.keys else ""


def _keyless(name: str, own: Evidence) -> str:
    if own.without_key < FEW:
        return ""
    return (
        f"{name}: {own.without_key} of {own.sampled} sampled records have no key, so producers put them "
        f"on any partition; give prediction and label the same key, the prediction id; {COLD}"
    )


def _no_ids(names: tuple[str, str], at: int, own: Evidence, other: Evidence, enough: int) -> str:
    if min(own.ids_known, other.ids_known) < enough:
        return ""
    if own.are_ids > (1 - EXPLAINS) * own.ids_known or other.are_ids < EXPLAINS * other.ids_known:
        return ""
    return (
        f"{names[at]}: keys are no prediction ids (one is {own.example}), those of {names[1 - at]} are; give "
        f"both the same bytes as key; {COLD}"
    )


def _elsewhere(
    names: tuple[str, str],
    at: int,
    evidence: tuple[Evidence, Evidence],
    hashes: tuple[str, str | None],
    meeting: float | None,
) -> str:
    own, (mine, others) = evidence[at], hashes
    name, other = names[at], names[1 - at]
    if not mine:
        # Not before the other topic is known: one rule of the user's own for both is as good as any.
        if others is None or (others == "" and (meeting is None or meeting > MEETING)):
            return ""
        fits = ", ".join(f"{name} {fit / own.keys:.0%}" for name, fit in zip(HASHES, own.fits, strict=True))
        return (
            f"{name}: no hash explains where its keys lie ({fits} of {own.keys} sampled keys; chance gives "
            f"{1 / own.partitions:.0%}): several kinds of producers, a random partitioner, or another count "
            f"of partitions before; set partitioner=murmur2_random (librdkafka) or the Java default in all "
            f"of them; {COLD}"
        )
    stray = own.keys - max(own.fits)
    if others and mine not in (others, MURMUR2):
        return (
            f"{name} is placed by {mine} ({HASHES[mine][1]}), {other} by {others} ({HASHES[others][1]}): a "
            f"label and its prediction lie on different partitions; {REMEDIES[mine]}; {COLD}"
        )
    if stray >= FEW:
        return (
            f"{name}: {stray} of {own.keys} sampled keys are not where {mine} puts them: a producer with "
            f"another partitioner, or records of before the count of partitions changed; set "
            f"partitioner=murmur2_random (librdkafka) or the Java default in all of them; {COLD}"
        )
    return ""
