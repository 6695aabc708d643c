"""What a user may configure: every section and key, its default, and the plain settings it turns into."""

from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from string import Template
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

from aftcast.quantities import duration_ms, size_bytes
from schemas.figures import METRICS
from schemas.privacy import Action, PrivacySettings, read_rule
from schemas.settings import (
    DetectorSettings,
    JoinSettings,
    ModelSettings,
    MonitorSettings,
    RuleSettings,
)

DurationMs = Annotated[int, BeforeValidator(duration_ms)]
SizeBytes = Annotated[int, BeforeValidator(size_bytes)]
Text = Annotated[str, Field(min_length=1)]
IN_A_FILE = "file that holds it instead"
LONGEST_TIMEOUT_MS = 60_000  # a member of a group that is silent for five minutes is put out of it
# What the text of a forwarded alert may name.
ALERT_NAMES = (
    "status", "severity", "rule", "kind", "model", "model_version", "segment", "feature", "metric", "value",
    "threshold", "summary", "runbook_url", "fingerprint", "event_id", "window_start", "window_end",
    "started_at", "timestamp",
)  # fmt: skip
LONGEST_INTERVAL_MS = 60_000  # between two checkpoints: a partition without one for longer counts as stale


def _horizon(value: object) -> int | None:
    if value == "auto":
        return None
    try:
        return duration_ms(value)
    except ValueError:
        raise ValueError('must be "auto" or a duration above 0, such as "24h"') from None


def _plain_url(value: object, schemes: tuple[str, ...]) -> str:
    """Refuse an address that carries a password: addresses are shown in logs, passwords never."""
    if not isinstance(value, str) or not value.startswith(schemes):
        raise ValueError(f"must be an address that begins with {' or '.join(schemes)}")
    if "@" in value.split("//", 1)[1].split("/", 1)[0]:
        raise ValueError("must not hold a user or password, which have keys of their own")
    return value.rstrip("/") if value.startswith("http") else value


def _registry_url(value: object) -> str:
    return "" if value == "" else _plain_url(value, ("http://", "https://", "mock://"))


def _clickhouse_url(value: object) -> str:
    return _plain_url(value, ("http://", "https://", "chdb:///"))


def _target_url(value: object) -> str:
    return "" if value == "" else _plain_url(value, ("http://", "https://"))


def _metric(value: object) -> str:
    if value not in METRICS:
        raise ValueError(
            "must be a column of model_quality that holds a figure, such as accuracy, coverage or mae"
        )
    return str(value)


def _runbook_url(value: object) -> object:
    template = Template(value) if isinstance(value, str) else Template("")
    names = template.get_identifiers() if template.is_valid() else [""]
    if other := [name for name in names if name not in ("kind", "alertname")]:
        raise ValueError(f"must name $kind and $alertname only; ${other[0]} is neither")
    return value


class Section(BaseModel):
    """A section refuses keys that it does not know, and never changes once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=False)


class Kafka(Section):
    bootstrap_servers: Text = Field("localhost:9092", description="addresses of brokers, comma-separated")
    group: Text = Field("aftcast", description="name of the consumer groups; the raw role appends `-raw`")
    instance: str = Field(
        "", description="static member id of this worker, for rolling restarts; empty: none"
    )
    security_protocol: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] | None = Field(
        None, description="as librdkafka names it"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI", "OAUTHBEARER"] | None = (
        Field(None, description="as librdkafka names it")
    )
    sasl_username: str | None = Field(None, description="user at the brokers")
    sasl_password: SecretStr | None = Field(None, description="its password; never printed")
    sasl_password_file: str = Field("", description=IN_A_FILE)
    ssl_ca_location: str | None = Field(None, description="file with the brokers' authority certificates")
    ssl_certificate_location: str | None = Field(None, description="file with our certificate")
    ssl_key_location: str | None = Field(None, description="file with our private key")
    ssl_key_password: SecretStr | None = Field(None, description="its password; never printed")
    ssl_key_password_file: str = Field("", description=IN_A_FILE)

    def client_options(self) -> dict[str, str]:
        """Return what a librdkafka client needs to connect; holds passwords in the clear."""
        options: dict[str, str] = {}
        for name, value in self:
            if name in ("group", "instance") or name.endswith("_file") or value is None:
                continue
            plain = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
            options[name.replace("_", ".")] = plain
        return options


class Topics(Section):
    inference: Text = Field("inference-events", description="predictions, in")
    labels: Text = Field("label-events", description="labels, in")
    lifecycle: Text = Field("lifecycle-events", description="deployments, maintenance, in")
    alerts: Text = Field("alert-events", description="alerts, out")
    dead_letters: Text = Field("dead-letter-events", description="what could not be used, out")
    pane_updates: Text = Field("pane-updates", description="internal: rollups on their way, key = model")
    findings: Text = Field("aftcast-findings", description="internal: drift and state of models")
    state: Text = Field("aftcast-state", description="internal: checkpoints, compacted")
    journal: Text = Field("aftcast-journal", description="internal: what detectors consumed, compacted")
    partitions: Annotated[int, Field(ge=1, le=10_000)] = Field(
        6, description="of each topic that `aftcast setup` creates"
    )


class Trusting(Section):
    """Whom an https address must be signed by, and how we show ourselves."""

    ca_file: str = Field(
        "", description="authority that signed its certificate, in PEM; empty: those of the system"
    )
    certificate_file: str = Field("", description="our certificate, where it asks for one")
    certificate_key_file: str = Field("", description="its key; empty: in the same file")


class SchemaRegistry(Trusting):
    url: Annotated[str, BeforeValidator(_registry_url)] = Field("", description="empty: none")
    user: str = Field("", description="user at the registry")
    password: SecretStr | None = Field(None, description="its password; never printed")
    password_file: str = Field("", description=IN_A_FILE)


class ClickHouse(Trusting):
    url: Annotated[str, BeforeValidator(_clickhouse_url)] = Field(
        "http://localhost:8123", description="HTTP interface, or `chdb:///path` for the embedded engine"
    )
    user: Text = Field("default", description="user at ClickHouse")
    password: SecretStr | None = Field(None, description="its password; never printed")
    password_file: str = Field("", description=IN_A_FILE)
    database: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] = Field(
        "aftcast", description="where the tables are"
    )


class Join(Section):
    hot_horizon_ms: DurationMs = Field(
        86_400_000, alias="hot_horizon", description="how long predictions and labels wait in memory"
    )
    max_waiting_memory_bytes: SizeBytes = Field(
        1_000_000_000,
        alias="max_waiting_memory",
        description="what they may take; reached: they wait shorter",
    )
    cold_interval_ms: DurationMs = Field(
        60_000,
        alias="cold_interval",
        description="how long late events are gathered before their panes are joined again; "
        "of older panes longer",
    )


class Panes(Section):
    width_ms: DurationMs = Field(60_000, alias="width", description="the smallest window that is stored")


class Checkpoints(Section):
    interval_ms: DurationMs = Field(
        1_000,
        alias="interval",
        description="how often a partition sends what changed, with its checkpoint, in one transaction; "
        "at most a minute",
    )


class Detector(Section):
    name: Text = Field(description="class of river's `drift` module")
    parameters: dict[str, float] = Field({}, description="arguments that it is built with")


class Detection(Section):
    maturity_horizon_ms: Annotated[int | None, BeforeValidator(_horizon)] = Field(
        None,
        alias="maturity_horizon",
        description="after how long a pane's labels are taken as complete; "
        "`auto`: learnt of each model from its own labels",
    )
    false_alarms_per_month: Annotated[float, Field(gt=0)] = Field(
        1.0, description="per model, shared out over every signal that is watched"
    )
    smallest_change: Annotated[float, Field(gt=0, le=0.5)] = Field(
        0.05, description="of an error rate, or of a mean rank, that is worth an alert"
    )
    segments: tuple[Text, ...] = Field(
        (), description='`"name=value"`, watched like all traffic; each makes every threshold higher'
    )
    silence_after_ms: DurationMs = Field(
        900_000, alias="silence_after", description="without predictions, a model raises an alert"
    )
    dead_letter_share: Annotated[float, Field(gt=0, le=1)] = Field(
        0.05, description="of records that may be unusable before that raises an alert"
    )
    detectors: tuple[Detector, ...] = Field(
        (Detector(name="ADWIN", parameters={"clock": 1}), Detector(name="PageHinkley")),
        description="that watch the error rate",
    )


class Alerts(Section):
    runbook_url: Annotated[str, BeforeValidator(_runbook_url)] = Field(
        MonitorSettings().runbook_url,
        description="page of alerts whose rule names none, with `$kind` or `$alertname` for what differs; "
        "an address of the web becomes a link; empty: none",
    )


class Metrics(Section):
    host: Text = Field(
        "127.0.0.1", description="address on which /metrics listens; `0.0.0.0`: every one of the machine"
    )
    port: Annotated[int, Field(ge=0, le=65535)] = Field(
        9464, description="of /metrics; 0: any; the default moves on when it is taken"
    )
    token: SecretStr | None = Field(
        None, description="bearer token without which /metrics is refused; of 16 characters or more"
    )
    token_file: str = Field("", description=IN_A_FILE)


class Page(Section):
    host: Text = Field(
        "127.0.0.1",
        description="address on which the page listens; another than this machine's needs a token",
    )
    port: Annotated[int, Field(ge=0, le=65535)] = Field(
        8088, description="of the page; 0: any; the default moves on when it is taken"
    )
    hosts: tuple[Text, ...] = Field(
        (), description="more names under which browsers ask for it, such as a proxy's"
    )
    token: SecretStr | None = Field(
        None, description="that people log in with; of 16 characters or more; none: nobody is asked"
    )
    token_file: str = Field("", description=IN_A_FILE)


class Model(Section):
    task: Literal["classification", "binary", "multiclass", "regression"] | None = Field(
        None, description="told from the predictions unless set"
    )
    positive: str | None = Field(None, description="the positive class of a binary model")
    maturity_horizon_ms: Annotated[int | None, BeforeValidator(_horizon)] = Field(
        None, alias="maturity_horizon", description="overrides the one of `[detection]`"
    )
    reference: Text | None = Field(
        None, description="file of `aftcast profile` that features are held against; else the first day"
    )
    implicit_label: str | None = Field(
        None, description="what predictions without a label are taken for; unset: they stay unlabelled"
    )
    implicit_after_ms: DurationMs = Field(
        86_400_000,
        alias="implicit_after",
        description="how long after its prediction it holds; not longer than `[join] hot_horizon`",
    )


class Rule(Section):
    name: Text = Field(description="of the rule, as alerts show it")
    model: Text = Field("*", description="model that it holds for; `*`: each")
    segment: str = Field("", description="`name=value`; empty: all traffic")
    metric: Annotated[str, BeforeValidator(_metric)] = Field(description="column of `model_quality`")
    on: Literal["mature", "nowcast", "all"] = Field("mature", description="which windows are held against it")
    window_ms: DurationMs = Field(
        3_600_000, alias="window", description="a multiple of the pane's width; slides by pane"
    )
    below: float | None = Field(None, description="fires when the figure is lower")
    above: float | None = Field(None, description="fires when the figure is higher; exactly one of the two")
    min_labelled: Annotated[int, Field(ge=0)] = Field(100, description="labels without which it stays silent")
    severity: Literal["page", "ticket", "info"] = Field("page", description="of its alerts")
    runbook_url: str = Field("", description="what to do; empty: that of `[alerts]`")


class Forward(Trusting):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] = Field(
        description="of the target; part of its consumer group's name, so it goes on where it was"
    )
    kind: Literal["alertmanager", "slack", "pagerduty", "cloudevents"] = Field(
        description="which form alerts get"
    )
    url: Annotated[str, BeforeValidator(_target_url)] = Field(
        "", description="where to; of Alertmanager without `/api/v2`; PagerDuty has its own unless set"
    )
    secret_env: str = Field(
        "",
        description="variable that holds the secret: PagerDuty's routing key, the whole address of a "
        "Slack webhook, else a bearer token",
    )
    secret_file: str = Field("", description="file that holds it; one of the two")
    severities: tuple[Literal["page", "ticket", "info"], ...] = Field((), description="none: all")
    text: str = Field(
        "", description="of the message, with `$summary`, `$model` and others; empty: the kind's own"
    )
    rate_per_minute: Annotated[int, Field(ge=1, le=6_000)] = Field(
        60, description="deliveries at most; the rest waits"
    )
    timeout_ms: DurationMs = Field(10_000, alias="timeout", description="of one try; at most a minute")


def _treated(action: Action) -> BeforeValidator:
    def check(value: object) -> object:
        if isinstance(value, str):
            read_rule(action, value)
        return value

    return BeforeValidator(check)


class Privacy(Section):
    drop: tuple[Annotated[Text, _treated("drop")], ...] = Field(
        (), description="fields that go, such as `features.email`, `segments.*_id`, `request_id`"
    )
    hashed: tuple[Annotated[Text, _treated("hash")], ...] = Field(
        (), alias="hash", description="fields of which a keyed hash stays: equal values stay equal"
    )
    truncate: tuple[Annotated[Text, _treated("truncate")], ...] = Field(
        (), description="texts of which the beginning stays, such as `segments.postcode:2`"
    )
    key: SecretStr | None = Field(None, description="secret of the hash, of 16 characters or more")
    key_file: str = Field("", description=IN_A_FILE)
    dead_letter_payload: Literal["keep", "drop"] | None = Field(
        None, description="what came in records that are refused; unset: dropped where there is any rule"
    )

    def settings(self) -> PrivacySettings:
        """Return what decoding goes by; holds the key in the clear."""
        lists: tuple[tuple[Action, tuple[str, ...]], ...] = (
            ("drop", self.drop), ("hash", self.hashed), ("truncate", self.truncate)
        )  # fmt: skip
        rules = tuple(read_rule(action, text) for action, texts in lists for text in texts)
        keeps = self.dead_letter_payload == "keep" or (self.dead_letter_payload is None and not rules)
        key = self.key.get_secret_value().encode() if self.key else b""
        return PrivacySettings(rules, key, keeps)


class Configuration(BaseModel):
    """All sections; ``aftcast.loading`` reads one from file, environment and command line."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kafka: Kafka = Kafka()
    topics: Topics = Topics()
    schema_registry: SchemaRegistry = SchemaRegistry()
    clickhouse: ClickHouse = ClickHouse()
    join: Join = Join()
    panes: Panes = Panes()
    checkpoints: Checkpoints = Checkpoints()
    detection: Detection = Detection()
    alerts: Alerts = Alerts()
    metrics: Metrics = Metrics()
    page: Page = Page()
    privacy: Privacy = Privacy()
    models: dict[str, Model] = {}
    rules: tuple[Rule, ...] = ()
    forward: tuple[Forward, ...] = ()

    @property
    def maturity_horizon_ms(self) -> int:
        """The longest horizon there may be; ``auto``: later labels than the hot horizon are not joined."""
        return self.detection.maturity_horizon_ms or self.join.hot_horizon_ms

    def join_settings(self) -> JoinSettings:
        return JoinSettings(self.join.hot_horizon_ms, self.join.max_waiting_memory_bytes)

    def monitor_settings(self) -> MonitorSettings:
        """Return what stage 2 goes by; files of references are read, ``Failure`` if one is not right."""
        from aftcast.profile import read_profile

        return MonitorSettings(
            pane_width_ms=self.panes.width_ms,
            maturity_horizon_ms=self.maturity_horizon_ms,
            learn_horizon=self.detection.maturity_horizon_ms is None,
            models={
                name: ModelSettings(
                    model.task,
                    model.positive,
                    model.maturity_horizon_ms,
                    model.implicit_label,
                    model.implicit_after_ms,
                    model.reference,
                )
                for name, model in self.models.items()
            },
            rules=tuple(RuleSettings(**dict(rule)) for rule in self.rules),
            detectors=tuple(DetectorSettings(d.name, dict(d.parameters)) for d in self.detection.detectors),
            silence_after_ms=self.detection.silence_after_ms,
            dead_letter_share=self.detection.dead_letter_share,
            false_alarms_per_month=self.detection.false_alarms_per_month,
            smallest_change=self.detection.smallest_change,
            segments=self.detection.segments,
            runbook_url=self.alerts.runbook_url,
            references=tuple(
                reference
                for name, model in self.models.items()
                if model.reference is not None
                for reference in read_profile(Path(model.reference), name)
            ),
        )


def problems(configuration: Configuration) -> list[tuple[tuple[str | int, ...], str, Any]]:
    """Return what single keys cannot tell: path, rule and value of each key at odds with another."""
    found: list[tuple[tuple[str | int, ...], str, Any]] = []
    names: set[str] = set()
    for i, rule in enumerate(configuration.rules):
        if (rule.below is None) == (rule.above is None):
            found.append(
                (("rules", i), f'"{rule.name}" must have exactly one of below and above', _bounds(rule))
            )
        if rule.window_ms % configuration.panes.width_ms:
            found.append(
                (
                    ("rules", i, "window"),
                    f"must be a multiple of [panes] width, {configuration.panes.width_ms / 1000:g} s",
                    f"{rule.window_ms / 1000:g} s",
                )
            )
        if rule.name in names:
            found.append((("rules", i, "name"), "must differ from every other rule's", f'"{rule.name}"'))
        names.add(rule.name)
    topics = configuration.topics.model_dump(exclude={"partitions"})
    for key, name in topics.items():
        first = next(other for other, taken in topics.items() if taken == name)
        if first != key:
            found.append((("topics", key), f"must differ from {first}", f'"{name}"'))
    if configuration.join.hot_horizon_ms < configuration.panes.width_ms:
        found.append(
            (
                ("join", "hot_horizon"),
                "must not be shorter than [panes] width",
                f"{configuration.join.hot_horizon_ms / 1000:g} s",
            )
        )
    if configuration.checkpoints.interval_ms > LONGEST_INTERVAL_MS:
        interval_s = configuration.checkpoints.interval_ms / 1000
        found.append((("checkpoints", "interval"), "must not be longer than 60 s", f"{interval_s:g} s"))
    found += _forwarding(configuration.forward)
    for name, model in configuration.models.items():
        found += _implicit(name, model, configuration.join.hot_horizon_ms)
    return found


def _forwarding(targets: tuple[Forward, ...]) -> Iterator[tuple[tuple[str | int, ...], str, Any]]:
    names: set[str] = set()
    for i, target in enumerate(targets):
        if target.name in names:
            yield ("forward", i, "name"), "must differ from every other target's", f'"{target.name}"'
        names.add(target.name)
        if target.secret_env and target.secret_file:
            yield ("forward", i, "secret_file"), "must not stand beside secret_env", f'"{target.secret_file}"'
        if target.timeout_ms > LONGEST_TIMEOUT_MS:
            rule = "must not be longer than 60 s"
            yield ("forward", i, "timeout"), rule, f"{target.timeout_ms / 1000:g} s"
        if target.kind in ("alertmanager", "cloudevents") and not target.url:
            yield ("forward", i), f'"{target.name}" must have a url', f"kind {target.kind}"
        template = Template(target.text)
        names_of_text = template.get_identifiers() if template.is_valid() else ["$"]
        for name in names_of_text:
            if name not in ALERT_NAMES:
                rule = f"must name fields of an alert only, such as $summary; ${name} is none"
                yield ("forward", i, "text"), rule, f'"{target.text[:60]}"'


def _implicit(name: str, model: Model, horizon_ms: int) -> Iterator[tuple[tuple[str | int, ...], str, Any]]:
    path, after_s = ("models", name), f"{model.implicit_after_ms / 1000:g} s"
    if model.implicit_label is None:
        if "implicit_after_ms" in model.model_fields_set:
            yield (*path, "implicit_after"), "has no effect without implicit_label", after_s
        return
    if model.implicit_after_ms > horizon_ms:
        rule = f"must not be longer than [join] hot_horizon, {horizon_ms / 1000:g} s"
        yield (*path, "implicit_after"), rule, after_s
    if model.task == "regression" and not _is_number(model.implicit_label):
        rule = "must be a number in quotes, since task is regression"
        yield (*path, "implicit_label"), rule, f'"{model.implicit_label}"'


def _is_number(text: str) -> bool:
    try:
        return isfinite(float(text))
    except ValueError:
        return False


def _bounds(rule: Rule) -> str:
    return "none" if rule.below is None else "both"
