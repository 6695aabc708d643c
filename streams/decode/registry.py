"""What decoding needs of a schema registry: a schema for an id, or the word that it is out of reach."""

from dataclasses import dataclass
from typing import Protocol


class RegistryUnavailable(Exception):  # noqa: N818 - a state of the world to wait out, not an error in a record
    """The registry cannot be asked now: wait and decode the same batch again; nothing was set aside."""


@dataclass(frozen=True, slots=True)
class RegisteredSchema:
    """A schema as registered: ``kind`` is AVRO, JSON or PROTOBUF; ``references`` come in order of use."""

    kind: str
    text: str
    references: tuple[str, ...] = ()


class Registry(Protocol):
    """Both methods return None for an id that is not registered and raise ``RegistryUnavailable``."""

    def by_id(self, schema_id: int) -> RegisteredSchema | None: ...

    def by_guid(self, guid: str) -> RegisteredSchema | None: ...
