"""What the join has to know of codes, made anew only where names were added."""

import numpy as np

from schemas.coded import NO_CLASS, PairChanges
from schemas.columns import DOUBLE
from streams.codes.classes import number_text, text_number
from streams.codes.coder import Coder
from streams.join.hot import Meaning
from streams.partition.implicit import ImplicitSettings


class Meanings:
    """Keeps what follows from the names of a coder."""

    def __init__(self, coder: Coder, implicit: ImplicitSettings) -> None:
        self._coder = coder
        self._implicit = implicit
        self._sizes = (-1, -1, -1)
        self._text_numbers: list[float] = []

    def now(self) -> Meaning:
        """Return the meaning of all codes given so far; its profiles are valid until the next batch."""
        vocabulary = self._coder.vocabulary
        sizes = (len(vocabulary.stream_model), len(vocabulary.classes), len(vocabulary.sources))
        if sizes != self._sizes:
            # Before the ranks: an implicit label may be a text that no event has brought yet.
            self._given = self._implicit.by_stream(vocabulary.stream_names, vocabulary.classes)
            texts = vocabulary.classes.texts
            self._text_numbers += map(text_number, texts[len(self._text_numbers) :])
            self._models = np.array(vocabulary.stream_model, np.int64)
            self._numbers = np.array(self._text_numbers)
            self._ranks = vocabulary.classes.ranks(), vocabulary.sources.ranks()
            self._sizes = (len(vocabulary.stream_model), len(vocabulary.classes), len(vocabulary.sources))
        return Meaning(
            profiles=self._coder.profiles(),
            stream_model=self._models,
            text_ranks=self._ranks[0],
            text_numbers=self._numbers,
            source_ranks=self._ranks[1],
            class_texts=vocabulary.classes.texts,
            implicit=self._given,
        )

    def name_fractions(self, changes: PairChanges, meaning: Meaning) -> None:
        """Look up the class of labels such as 2.5 where a class was predicted: regression needs none."""
        nameless = (changes["label_key"] == NO_CLASS) & (changes["label_kind"] == DOUBLE)
        nameless &= meaning.profiles.class_key[changes["profile"]] != NO_CLASS
        if nameless.any():
            names = self._coder.vocabulary.classes
            numbers, inverse = np.unique(changes["label_number"][nameless], return_inverse=True)
            keys = np.array([names.code(number_text(float(x))) << 1 | 1 for x in numbers], np.int64)
            changes["label_key"][nameless] = keys[inverse]
