"""What an output specification does to a table before it is written: windows, processing, dropped columns, types."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from pygama_core.errors import ConfigError
from pygama_core.lh5.types import Array, Column, Table

STEPS = ("window", "dsp_config", "drop", "dtype_conv", "compression", "hdf5_settings")
RunDsp: TypeAlias = Callable[[Mapping[str, Any] | str, Table], Table]


@dataclass(frozen=True)
class Window:
    """Samples ``start`` ... ``stop`` - 1 of a column, as a column of its own; negative numbers count from the end."""

    column: str
    start: int
    stop: int
    name: str


@dataclass(frozen=True, eq=False)
class ProcSpec:
    """Steps on the tables of one entry, in this order.

    Parameters
    ----------
    where : the entry they belong to, for messages
    windows : columns cut out of others
    dsp_config : processing chain (content or file) whose outputs become columns; None for none
    drop : columns that are not written
    dtype_conv : type of elements by column (``name`` or ``waveform/values``)
    compression, hdf5_settings : storage of columns, as specified
    """

    where: str
    windows: tuple[Window, ...] = ()
    dsp_config: Mapping[str, Any] | str | None = None
    drop: tuple[str, ...] = ()
    dtype_conv: Mapping[str, str] = field(default_factory=dict)
    compression: Mapping[str, Any] = field(default_factory=dict)
    hdf5_settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is specified and has no effect."""
        return tuple(
            f"output specification: {self.where}.proc_spec.{name}: not used; all columns are compressed without loss "
            f"in this package's own way"
            for name in ("compression", "hdf5_settings")
            if getattr(self, name)
        )

    def apply(self, table: Table, run_dsp: RunDsp) -> Table:
        """Return the processed table.

        Parameters
        ----------
        table : (n_rows) decoded columns
        run_dsp : runs a processing chain on a table and returns its outputs

        Raises
        ------
        ConfigError : if a step does not fit the table
        """
        columns = dict(table.columns)
        for window in self.windows:
            columns[window.name] = self._cut(columns, window)
        if self.dsp_config is not None:
            made = run_dsp(self.dsp_config, Table(columns)).columns
            columns.update((name, _as_raw(column)) for name, column in made.items())
        for name in self.drop:
            columns.pop(name, None)
        for path, dtype in self.dtype_conv.items():
            name, _, member = path.partition("/")
            columns[name] = self._converted(columns.get(name), path, member, dtype)
        return Table(columns, table.attrs)

    def missing(self, table: Table) -> tuple[str, ...]:
        """Return the columns to drop that a table has not."""
        made = {window.name for window in self.windows}
        return tuple(name for name in self.drop if name not in table and name not in made)

    def _cut(self, columns: Mapping[str, Column], window: Window) -> Column:
        column = columns.get(window.column)
        values = column.columns.get("values") if isinstance(column, Table) else column
        if not isinstance(values, Array) or values.values.ndim != 2:
            found = "missing" if column is None else "no column of equal rows"
            raise ConfigError(f"output specification: {self.where}.proc_spec.window: {window.column!r} is {found}")
        n = values.values.shape[1]
        start, stop, _ = slice(window.start, window.stop).indices(n)
        if stop <= start:
            raise ConfigError(
                f"output specification: {self.where}.proc_spec.window: samples {window.start}:{window.stop} of "
                f"{window.column!r}, which has {n}, are none; the window must lie inside the waveform"
            )
        cut = Array(values.values[:, start:stop], values.attrs)
        return _shifted(column, cut, start) if isinstance(column, Table) else cut

    def _converted(self, column: Column | None, path: str, member: str, dtype: str) -> Column:
        if isinstance(column, Table) and member in column:
            inner = self._converted(column[member], path, "", dtype)
            return Table({**column.columns, member: inner}, column.attrs)
        if not isinstance(column, Array) or member:
            raise ConfigError(
                f"output specification: {self.where}.proc_spec.dtype_conv: no array {path!r} in the table; "
                f"for a waveform name its samples, such as 'waveform/values'"
            )
        return Array(_cast(column.values, np.dtype(dtype), f"{self.where}.proc_spec.dtype_conv.{path}"), column.attrs)


def parse_proc_spec(spec: Any, where: str) -> ProcSpec:
    """Read a ``proc_spec``.

    Raises
    ------
    ConfigError : if it is malformed; the message names the entry ``where``
    """
    at = f"output specification: {where}.proc_spec"
    if not isinstance(spec, Mapping):
        raise ConfigError(f"{at}: expected a mapping of {', '.join(STEPS)}, found {spec!r}")
    for name in spec:
        if name not in STEPS:
            close = difflib.get_close_matches(str(name), STEPS, 1)
            hint = f"; did you mean {close[0]}?" if close else ""
            raise ConfigError(f"{at}: unknown step {name!r}{hint} Known: {', '.join(STEPS)}")
    drop = spec.get("drop", ())
    return ProcSpec(
        where=where,
        windows=_windows(spec.get("window", ()), at),
        dsp_config=_chain(spec.get("dsp_config"), at),
        drop=(drop,) if isinstance(drop, str) else tuple(str(name) for name in drop),
        dtype_conv=_dtypes(spec.get("dtype_conv", {}), at),
        compression=_mapping(spec, "compression", at),
        hdf5_settings=_mapping(spec, "hdf5_settings", at),
    )


def _windows(listed: Any, at: str) -> tuple[Window, ...]:
    """Read one window ``[column, start, stop, name]``, or a list of such."""
    if isinstance(listed, Sequence) and listed and isinstance(listed[0], str):
        listed = [listed]
    windows = []
    for item in listed:
        kinds = (str, int, int, str)
        fits = isinstance(item, Sequence) and len(item) == 4
        if not fits or not all(isinstance(part, kind) for part, kind in zip(item, kinds, strict=True)):
            raise ConfigError(f"{at}.window: {item!r}; expected [column, first sample, last sample + 1, new name]")
        windows.append(Window(*item))
    return tuple(windows)


def _chain(config: Any, at: str) -> Mapping[str, Any] | str | None:
    if config is None or isinstance(config, Mapping | str):
        return config
    raise ConfigError(f"{at}.dsp_config: expected a processing chain or the name of its file, found {config!r}")


def _mapping(spec: Mapping[str, Any], name: str, at: str) -> Mapping[str, Any]:
    value = spec.get(name, {})
    if not isinstance(value, Mapping):
        raise ConfigError(f"{at}.{name}: expected a mapping of columns, found {value!r}")
    return value


def _dtypes(value: Any, at: str) -> Mapping[str, str]:
    types = _mapping({"dtype_conv": value}, "dtype_conv", at)
    for name, dtype in types.items():
        try:
            np.dtype(dtype)
        except TypeError as error:
            raise ConfigError(f"{at}.dtype_conv.{name}: {dtype!r} is no type of numbers, such as uint16") from error
    return {str(name): str(dtype) for name, dtype in types.items()}


def _shifted(table: Table, values: Array, start: int) -> Table:
    """Return a waveform table of samples from ``start`` on: t0 moves along."""
    t0, dt = table["t0"], table["dt"]
    if not isinstance(t0, Array) or not isinstance(dt, Array):
        raise ConfigError("output specification: window: t0 and dt of a waveform must be arrays")
    moved = t0.values + (start * dt.values).astype(t0.values.dtype)
    return Table({"t0": Array(moved, t0.attrs), "dt": dt, "values": values}, table.attrs)


def _as_raw(column: Column) -> Column:
    """Return a waveform table with times of the type they have in raw tables."""
    if not isinstance(column, Table):
        return column
    times = {
        name: Array(times.values.astype(np.float32), times.attrs)
        for name in ("t0", "dt")
        if isinstance(times := column.get(name), Array)
    }
    return Table({**column.columns, **times}, column.attrs)


def _cast(values: np.ndarray, dtype: np.dtype[Any], where: str) -> np.ndarray:
    """Convert; raise ConfigError for a value that the integer type cannot hold."""
    if dtype.kind in "iu" and values.size:
        limits = np.iinfo(dtype)
        low, high = values.min(), values.max()
        if not (low >= limits.min and high <= limits.max):  # also for NaN
            raise ConfigError(
                f"output specification: {where}: values {low} ... {high} do not fit {dtype}; choose a wider type"
            )
    return values.astype(dtype)
