"""``aftcast profile``: a recording's features as a reference file."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from aftcast.arguments import ConfigFile
from aftcast.failure import Failure
from aftcast.output import remark, say


def profile(
    inference: Annotated[
        list[Path],
        typer.Option(
            metavar="FILE...",
            help="Predictions: NDJSON, Avro, Parquet or CSV, .gz included; several may follow.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the reference goes, as JSON.")],
    model: Annotated[str | None, typer.Option(help="Only this model.  [default: each]")] = None,
    segment: Annotated[
        list[str], typer.Option(metavar="NAME=VALUE", help="A slice with a reference of its own; repeatable.")
    ] = [],  # noqa: B006
    config: ConfigFile = None,
) -> None:
    """Count how the features of recorded predictions are distributed, for windows to be held against.

    Name the file in the configuration: `[models.NAME] reference = "reference.json"`.
    """
    from dataclasses import replace

    from aftcast.loading import load
    from aftcast.profile import profile as profiled
    from aftcast.profile import write_profile

    _check(inference, segment)
    configuration = load(config)
    settings = configuration.monitor_settings()
    settings = replace(settings, segments=tuple(sorted({*settings.segments, *segment})), references=())

    def progress(path: str, n: int) -> None:
        if sys.stderr.isatty():
            remark(f"{path}: {n:,} records read")

    references, refused = profiled(inference, settings, progress, configuration.privacy.settings())
    names = sorted({reference.model for reference in references})
    if model is not None:
        references = [reference for reference in references if reference.model == model]
    if not references:
        what = "no features" if model is None else f'no features of model "{model}"'
        raise Failure(f"{what} in these files; models with features: {', '.join(names) or 'none'}")
    out.parent.mkdir(parents=True, exist_ok=True)
    write_profile(out, references)
    for reference in references:
        where = " ".join(filter(None, (reference.model, reference.model_version, reference.segment)))
        share = (reference.predictions - reference.n) / max(1, reference.predictions)
        say(f"{where}: {reference.feature or reference.signal}: {reference.n:,} values, {share:.1%} missing")
    if refused:
        remark(f"{refused:,} records were refused; `aftcast replay` names them")
    say(f"reference in {out}")


def _check(inference: list[Path], segments: list[str]) -> None:
    for path in inference:
        if not path.is_file():
            raise Failure(f"{path}: there is no such file")
    for segment in segments:
        if "=" not in segment:
            raise Failure(f'--segment must be NAME=VALUE, such as country=de; got "{segment}"')
