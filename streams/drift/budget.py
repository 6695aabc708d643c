"""How many false alarms a model may raise a month, shared out over everything that is watched of it."""

from schemas.signals import SignalKey


class Budget:
    """The fixed family of one model: every signal of every scope and version has the same share.

    With ``per_month`` false alarms over a family of F signals each may raise ``per_month / F`` in thirty
    days, so their sum is the budget, however they depend on each other (linearity of expectation).

    Examples
    --------
    >>> budget = Budget(1.0)
    >>> for feature in ("age", "income"):
    ...     budget.join("v1", SignalKey("feature", feature=feature))
    >>> budget.level
    0.5
    """

    def __init__(self, per_month: float) -> None:
        self._per_month = per_month
        self._family: set[tuple[str, SignalKey]] = set()

    def join(self, model_version: str, key: SignalKey) -> None:
        self._family.add((model_version, key))

    def leave(self, model_version: str) -> None:
        """Take out a version that is no longer watched."""
        self._family = {member for member in self._family if member[0] != model_version}

    @property
    def level(self) -> float:
        """False alarms that one signal may raise in thirty days."""
        return self._per_month / max(1, len(self._family))
