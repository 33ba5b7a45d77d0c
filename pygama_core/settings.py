"""The workflow's configuration: one class per section, from which the schema of ``config.yaml`` is generated.

``pygama-core schema`` writes ``workflow/schemas/config.schema.yaml``; a test fails when the two differ.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from pygama_core.filekey import FIELDS

NAMES = "{datatype}/{period}/{run}/{experiment}-{period}-{run}-{datatype}-{timestamp}.*"


class Section(BaseModel):
    """A section of the configuration; an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Paths(Section):
    """Directories, relative to the working directory."""

    daq: str = Field(description="DAQ files; only read, unless `simulation` makes them")
    generated: str = Field(default="generated", description="everything this workflow makes")
    overrides: str | None = Field(
        default=None, description="hand-written parameters: <tier>/validity.yaml and what it names"
    )


class Daq(Section):
    """How DAQ files are found and read."""

    pattern: str = Field(
        default=NAMES, description=f"path of a cycle below paths.daq, with the fields {', '.join(FIELDS)}"
    )
    defaults: dict[str, str] = Field(default={}, description="values of fields that the file names do not say")
    files: dict[str, str] = Field(
        default={}, description="cycle key -> path below paths.daq, for files named otherwise"
    )
    format: str | None = Field(default=None, description="decoder to use; null finds it from each file's content")


class Select(Section):
    """Which cycles are processed; an empty list selects all."""

    periods: list[str] = Field(default=[], description="periods such as p03")
    runs: list[str] = Field(default=[], description="runs such as r001")
    datatypes: list[str] = Field(default=[], description="datatypes such as cal")
    ignore: list[str] = Field(default=[], description="cycle keys to leave out")


class Tcm(Section):
    """Time-coincidence map."""

    window_ns: int = Field(
        default=1000, ge=0, description="hits closer than this to the previous hit are one event [ns]"
    )


class Par(Section):
    """Parameter steps, run on calibration data."""

    datatype: str = Field(default="cal", description="datatype of calibration runs")
    systems: list[str] = Field(default=["geds"], description="systems whose channels are calibrated")
    dsp: str = Field(default="config/par/dsp.yaml", description="settings of the pole-zero step")
    dsp_chain: str = Field(default="config/dsp/pole_zero.yaml", description="processing chain of the pole-zero step")
    hit: str = Field(default="config/par/hit.yaml", description="settings of the energy calibration")


class Config(Section):
    """The whole configuration of a production."""

    paths: Paths
    daq: Daq = Daq()
    simulation: str | None = Field(
        default=None, description="simulation settings: the DAQ files are made by this workflow"
    )
    channelmap: str | None = Field(
        default=None, description="detector name -> rawid and system; null: all channels are of the system `default`"
    )
    select: Select = Select()
    tcm: Tcm = Tcm()
    par: Par = Par()
    dsp: dict[str, str] = Field(description="system -> processing-chain configuration")
    hit: dict[str, str] = Field(description="system -> hit configuration")
    evt: str = Field(default="config/evt/evt.yaml", description="event configuration")


def _plain(schema: Any) -> Any:
    """Drop the generated titles, which only repeat the key."""
    if isinstance(schema, dict):
        return {k: _plain(v) for k, v in schema.items() if not (k == "title" and isinstance(v, str))}
    return [_plain(item) for item in schema] if isinstance(schema, list) else schema


def schema_text() -> str:
    """Return the JSON schema of the configuration as YAML."""
    import yaml

    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **_plain(Config.model_json_schema())}
    head = "# Generated from pygama_core/settings.py by `pygama-core schema`; do not edit.\n"
    return head + yaml.safe_dump(schema, sort_keys=False, width=120)


def write_schema(path: Path) -> None:
    """Write the schema file."""
    path.write_text(schema_text())
