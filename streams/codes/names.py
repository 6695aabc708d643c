"""Names to codes: streams (model and version), models, classes, segments, statuses, sources."""

import numpy as np


class Names:
    """A list of distinct texts; a text's code is its position.

    Examples
    --------
    >>> names = Names(["false", "true"])
    >>> names.code("true"), names.code("maybe"), names.text(2)
    (1, 2, 'maybe')
    """

    def __init__(self, texts: list[str] | None = None) -> None:
        self.texts = list(texts or ())
        self._codes = {text: i for i, text in enumerate(self.texts)}

    def __len__(self) -> int:
        return len(self.texts)

    def code(self, text: str) -> int:
        found = self._codes.get(text)
        if found is None:
            found = self._codes[text] = len(self.texts)
            self.texts.append(text)
        return found

    def text(self, code: int) -> str:
        return self.texts[code]

    def ranks(self) -> np.ndarray:
        """Return each text's place among all in the order of their UTF-8 bytes, shape ``(len(self),)``."""
        order = sorted(range(len(self.texts)), key=lambda i: self.texts[i].encode())
        ranks = np.empty(len(order), np.int64)
        ranks[order] = np.arange(len(order))
        return ranks
