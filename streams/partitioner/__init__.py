"""Where producers put keys: which hash explains it, and whether both inputs go by the same one."""

from streams.partitioner.hashes import HASHES, place
from streams.partitioner.sample import Evidence, KeySample
from streams.partitioner.verdict import Verdict, judge

__all__ = ["HASHES", "Evidence", "KeySample", "Verdict", "judge", "place"]
