"""Which fields of events are dropped, hashed or cut before any of it is stored, and how that is said."""

from dataclasses import dataclass, field
from typing import Final, Literal

Action = Literal["drop", "hash", "truncate"]
ACTIONS: Final[tuple[Action, ...]] = ("drop", "hash", "truncate")  # the first that names a field holds

# Maps, of which entries are chosen by name, and the events that have them.
MAPS: Final = {"features": ("inference",), "segments": ("inference",), "attributes": ("lifecycle",)}
TEXTS: Final = {
    "prediction_id": ("inference", "label"),
    "request_id": ("inference",),
    "trace_id": ("inference",),
    "source": ("label",),
    "actor": ("lifecycle",),
    "message": ("lifecycle",),
}
HASH_CHARACTERS: Final = 32  # 128 bits: of a billion ids two are alike once in 10**20 tries


@dataclass(frozen=True, slots=True)
class PrivacyRule:
    """One field, or the entries of a map whose name fits ``name`` (``*`` and ``?`` as in file names)."""

    action: Action
    field: str
    name: str = ""
    characters: int = 0  # that are kept of a text which is cut


@dataclass(frozen=True, slots=True)
class PrivacySettings:
    """What the decoder does to fields; without rules nothing.

    ``key`` is the secret of the hash. ``keeps_payload`` is whether dead letters show what came.
    """

    rules: tuple[PrivacyRule, ...] = ()
    key: bytes = field(default=b"", repr=False)
    keeps_payload: bool = True


NO_RULES: Final = PrivacySettings()


def read_rule(action: Action, text: str) -> PrivacyRule:
    """Return the rule that a line of the configuration says.

    Raises
    ------
    ValueError
        If it names no field that can be treated so; the text says which can.

    Examples
    --------
    >>> read_rule("drop", "features.email")
    PrivacyRule(action='drop', field='features', name='email', characters=0)
    >>> read_rule("truncate", "segments.postcode:2").characters
    2
    """
    path, characters = text, 0
    if action == "truncate":
        path, _, count = text.rpartition(":")
        if not (count.isascii() and count.isdigit() and 0 < int(count) <= 1_000):
            raise ValueError('must end with how many characters stay, 1 to 1,000, such as "segments.zip:2"')
        characters = int(count)
    head, dot, name = path.partition(".")
    if head in MAPS:
        if not name:
            raise ValueError(f'must name entries, such as "{head}.email" or "{head}.*_name"')
        return PrivacyRule(action, head, name, characters)
    if dot or head not in TEXTS:
        known = ", ".join([*(f"{one}.NAME" for one in MAPS), *TEXTS])
        raise ValueError(f"must be one of {known}")
    if head == "prediction_id" and action != "hash":
        raise ValueError("must be hashed if anything: predictions and labels are joined by it")
    return PrivacyRule(action, head, "", characters)
