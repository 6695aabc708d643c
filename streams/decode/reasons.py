"""Why a record is set aside: the closed list of codes, each with the sentence that people read."""

from typing import Final

REASONS: Final = {
    # The value as a whole
    "empty_value": "the record has no value (a tombstone) or a value of zero bytes",
    "too_large": "the value has more than 1,000,000 bytes",
    "too_deep": "objects and lists are nested deeper than 32",
    "broken_utf8": "text that is not valid UTF-8",
    "malformed_json": "the value is neither Avro of a known framing nor valid JSON",
    "not_an_object": "the JSON value is not an object",
    "malformed_avro": "the Avro data is truncated or corrupt",
    "malformed_cloudevent": "the CloudEvents envelope has no data, or data that cannot be read",
    # The schema it was written with
    "unknown_fingerprint": "Avro single-object encoding of a schema that aftcast does not ship",
    "unknown_schema_id": "the schema registry does not know the schema id",
    "no_registry": "framed for a schema registry, and none is configured",
    "unusable_schema": "the writer's schema cannot be parsed, or is no record of Avro or JSON",
    "wrong_event": "another event of aftcast than this topic carries",
    # One field of it
    "missing_field": "a field without a default is missing",
    "wrong_type": "a value of another type than the field's",
    "empty_field": "a text that must not be empty is",
    "prediction_missing": "prediction is null although status is ok",
    "not_finite": "NaN or infinity",
    "negative": "a latency or cost below zero",
    "score_out_of_range": "a score outside [0, 1]",
    "sampling_probability_out_of_range": "a sampling probability outside (0, 1]",
    "bounds_incomplete": "one of prediction_lower and prediction_upper without the other",
    "bounds_reversed": "a prediction_lower above its prediction_upper",
    "bounds_without_number": "bounds beside a prediction that is no number",
    "integer_out_of_range": "an integer that does not fit into 64 bits",
    "too_many_features": "more than 2,000 features",
    # Its time
    "timestamp_as_text": "a timestamp that is a string of digits",
    "timestamp_unreadable": "a timestamp that is neither integer milliseconds nor RFC 3339",
    "timestamp_without_zone": "a time without zone",
    "timestamp_fractional": "a timestamp finer than a millisecond",
    "timestamp_before_2000": "a time before 2000: seconds were probably meant, milliseconds are expected",
    "timestamp_in_future": "a time more than 5 min after the record's Kafka time, or after 2099",
}


class RejectedError(Exception):
    """A record broke a rule: ``code`` of ``REASONS``, the field ("" for the whole value), what came."""

    def __init__(self, code: str, field: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.field = field
        self.detail = detail
        # As far as it could be read, so that people are shown the record and not its bytes.
        self.record: object = None
