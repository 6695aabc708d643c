"""A Confluent-compatible schema registry, asked for schemas by id; the client answers from its cache."""

from collections.abc import Callable, Mapping
from typing import Any

from streams.decode import RegisteredSchema, RegistryUnavailable

# Error codes of the registry's API for "no such schema, subject or version". Any other answer, be it 401,
# a proxy's 404 page or 503, says nothing about the schema: wait, rather than set good records aside.
_UNKNOWN = range(40400, 40500)
_TIMEOUT_S = 5


class ConfluentRegistry:
    """``streams.decode.Registry`` over confluent-kafka's client.

    Parameters
    ----------
    url
        Such as ``http://localhost:8081``; ``mock://`` for one in memory.
    options
        Further settings under the client's own names, such as ``basic.auth.user.info``.
    """

    def __init__(self, url: str, options: Mapping[str, Any] | None = None) -> None:
        # Imported here, since only those who configure a registry need its packages.
        from confluent_kafka.schema_registry import SchemaRegistryClient
        from confluent_kafka.schema_registry.error import SchemaRegistryError
        from httpx2 import HTTPError

        self._refusal = SchemaRegistryError
        self._unreachable = (
            HTTPError,
            OSError,
            ValueError,
            KeyError,
        )  # the last two: a 200 that is no registry's
        self.url = url
        self.client = SchemaRegistryClient.new_client(
            {"url": url, "timeout": _TIMEOUT_S, "max.retries": 0, **(options or {})}
        )

    def by_id(self, schema_id: int) -> RegisteredSchema | None:
        """Return the schema, None if there is none; ``RegistryUnavailable`` when it cannot be asked."""
        return self._registered(lambda: self.client.get_schema(schema_id))

    def by_guid(self, guid: str) -> RegisteredSchema | None:
        """Return the schema, None if there is none; ``RegistryUnavailable`` when it cannot be asked."""
        return self._registered(lambda: self.client.get_schema_by_guid(guid))

    def _registered(self, ask: Callable[[], Any]) -> RegisteredSchema | None:
        try:
            schema = ask()
            return RegisteredSchema(
                kind=schema.schema_type or "AVRO",
                text=schema.schema_str,
                references=tuple(self._references(schema, set())),
            )
        except self._refusal as error:
            if error.error_code in _UNKNOWN:
                return None
            raise RegistryUnavailable(f"schema registry {self.url}: {error}") from error
        except self._unreachable as error:
            raise RegistryUnavailable(f"schema registry {self.url}: {error}") from error

    def _references(self, schema: Any, seen: set[tuple[str, int]]) -> list[str]:
        """Return the texts of what a schema refers to, each behind those that it needs itself."""
        texts: list[str] = []
        for reference in schema.references or ():
            key = (reference.subject, reference.version)
            if key in seen:
                continue
            seen.add(key)
            target = self.client.get_version(*key).schema
            texts += [*self._references(target, seen), str(target.schema_str)]
        return texts
