"""What a release has to hold: the model of the files in loadtests/thresholds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

Ratio = Annotated[float, Field(ge=0, le=1)]


class ThresholdsError(ValueError):
    """The file of thresholds cannot be used; the message names file, field and bound."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Latency(_Strict):
    """Upper bounds of one operation, in milliseconds from the intended start; those left out are not looked at."""

    p50_ms: float | None = Field(default=None, gt=0)
    p95_ms: float | None = Field(default=None, gt=0)
    p99_ms: float | None = Field(default=None, gt=0)
    p99_9_ms: float | None = Field(default=None, gt=0)


class Thresholds(_Strict):
    """What a release has to hold. What is None is not looked at."""

    operations: Mapping[str, Latency] = {}
    error_ratio: Ratio = 0.0
    """Failed operations to all starts, without the classes of `errors` and without wrong answers (none may be)."""
    errors: Mapping[str, Ratio] = {}
    """The same for single classes (`full`, `unavailable`)."""
    reaches: tuple[str, ...] = ()
    """Classes of errors that must have happened: else the workload did not get as far as it wanted."""
    achieved_ratio: float = Field(default=0.99, gt=0, le=1)
    """Operations that ended, to those that the rate asks for."""
    dropped: int = Field(default=0, ge=0)
    """Starts that were due when the run ended and had not begun."""
    late_ratio: Ratio | None = None
    """Starts that had to wait for a busy user, to all."""
    longest_gap_seconds: float | None = Field(default=None, gt=0)
    """Longest time without an accepted write by anybody, as in a failover."""
    bytes_per_session: float | None = Field(default=None, gt=0)
    """Growth of the memory of Redis, without its clients and replicas, for each session that was added."""
    latency_drift: float | None = Field(default=None, gt=0)
    """Mean latency of the last third of the run to that of the first."""
    memory_drift: float | None = Field(default=None, gt=0)
    """Bytes per session of the last third of the run to those of the first."""
    faults: int = Field(default=0, ge=0)
    """Faults that must have been injected: else the run says nothing."""
    generator_cpu: float = Field(default=0.9, gt=0, le=1)
    """Share of a core above which a generator process counts as saturated: then it may be to blame itself."""


def read_thresholds(file: Path) -> Thresholds:
    """Read a file of thresholds.

    Raises:
        ThresholdsError: not YAML, an unknown field, a value out of its bounds.
        OSError: the file cannot be read.
    """
    try:
        return Thresholds.model_validate(yaml.safe_load(file.read_text("utf-8")) or {})
    except yaml.YAMLError as error:
        raise ThresholdsError(f"{file}: not YAML: {error}") from None
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors(include_url=False)]
    raise ThresholdsError("\n".join(f"{file}: {line}" for line in lines))
