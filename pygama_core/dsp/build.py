"""Make the steps of a plan: match arguments to processors, choose types, move times between grids."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pygama_core.dsp import values as v
from pygama_core.dsp.evaluate import Declaration
from pygama_core.dsp.plan import Constant, Grid, Operand, Shape, Step, Use, Variable
from pygama_core.dsp.registry import WIDE, Dims, Processor, get
from pygama_core.dsp.units import Quantity, time_factor
from pygama_core.dsp.values import Kind, Ref, Value
from pygama_core.errors import ConfigError

KEEP_KIND = ("rint", "floor", "ceil", "trunc", "absolute", "minimum", "maximum", "remainder")
COMPARISONS = ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal")


@dataclass
class StepBuilder:
    """The growing lists of a plan."""

    working: str = "f4"
    variables: dict[str, Variable] = field(default_factory=dict)
    setup: list[Step] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    constants: list[object] = field(default_factory=list)
    label: str = ""  # key of the recipe being resolved
    _converted: dict[tuple[Use, str], Use] = field(default_factory=dict)

    def call(
        self,
        processor: Processor,
        arguments: Sequence[Value],
        outputs: Sequence[Declaration] = (),
        axis: Grid | None = None,
    ) -> list[Ref]:
        """Add one call of a processor and return its outputs.

        Parameters
        ----------
        processor, arguments : what is called with which inputs
        outputs : what is known about the outputs; default: unnamed ones
        axis : grid of times in the arguments; default: that of the first array that has one, or of the first time

        Raises
        ------
        ConfigError : if shapes, types or units do not fit the processor
        """
        axis = axis or _time_axis(processor, arguments)
        inputs = [self._on_axis(a, axis, processor, i) for i, a in enumerate(arguments)]
        declared = list(outputs) or [Declaration("") for _ in processor.layout.outputs]
        sizes, loop = _match(processor, inputs)
        dtypes = [np.dtype(t).str[1:] for t in processor.dtypes(self._float_type(inputs, declared))]
        operands = tuple(self._operand(processor, i, a, dtypes[i], len(loop)) for i, a in enumerate(inputs))
        constant = not any(isinstance(a, Ref) and not a.constant for a in inputs)
        shapes = [
            (*loop, *_output_shape(processor, dims, declaration, sizes))
            for dims, declaration in zip(processor.layout.outputs, declared, strict=True)
        ]
        uses = [
            self._variable(d.name, shape, dtype, constant)
            for d, shape, dtype in zip(declared, shapes, dtypes[processor.n_in :], strict=True)
        ]
        step = Step(processor.name, operands, tuple(uses), self.label, processor.label)
        (self.setup if constant else self.steps).append(step)
        made = [
            Ref(use, shape, self.variables[use.variable].dtype, constant)
            for use, shape in zip(uses, shapes, strict=True)
        ]
        return _annotate(made, processor, inputs, declared, axis)

    def _variable(self, name: str, shape: Shape, dtype: str, constant: bool) -> Use:
        name = name or f"#{len(self.variables)}"
        self.variables[name] = Variable(name, shape, dtype, constant)
        return Use(name)

    def _float_type(self, inputs: Sequence[Value], declared: Sequence[Declaration]) -> str:
        """Return f8 if the chain or an array wants it; integer waveforms are float32 all the same."""
        refs = [a for a in inputs if isinstance(a, Ref)]
        arrays = [a for a in refs if a.shape]
        wide = any(a.dtype in WIDE for a in arrays or refs) or any(d.dtype in WIDE for d in declared)
        if not arrays:
            wide = wide or any(a.dtype[0] in "iu" and int(a.dtype[1:]) >= 4 for a in refs)
        return "f8" if wide else self.working

    def _on_axis(self, value: Value, axis: Grid | None, processor: Processor, position: int) -> Value:
        if isinstance(value, v.Offset) and axis is not None:
            return self._start_difference(Grid(axis.period, value.value, value.t0), axis)
        if isinstance(value, Quantity):
            if axis is None:
                raise ConfigError(
                    f"{_argument(processor, position)} is a time, but no argument has a time axis; divide by a period"
                )
            return value.in_samples(axis.period)
        return self.on_grid(value, axis) if isinstance(value, Ref) and axis is not None else value

    def _operand(self, processor: Processor, position: int, value: Value, dtype: str, n_loop: int) -> Operand:
        is_int = dtype[0] in "iu"
        if isinstance(value, Ref):
            if value.dtype[0] == "c" and dtype[0] != "c":
                raise ConfigError(f"{_argument(processor, position)} is complex; use psd or ifft to make it real")
            if is_int and value.dtype[0] not in "iub":
                raise ConfigError(f"{_argument(processor, position)} must be a whole number known beforehand")
            dims = processor.layout.inputs[position]
            ref = value if value.dtype == dtype else self.astype(value, dtype)
            if dims and ref.use.step != 1:
                ref = self._copied(ref)
            n_outer = len(ref.shape) - len(dims)
            return replace(ref.use, pad=n_loop - n_outer)
        if isinstance(value, str):
            if not is_int or len(value) != 1:
                raise ConfigError(f"{_argument(processor, position)}: found text {value!r}; only modes are one letter")
            value = ord(value)
        elif is_int:
            if not v.is_number(value) or not math.isfinite(value):  # type: ignore[arg-type]
                raise ConfigError(f"{_argument(processor, position)} must be a whole number, found {value!r}")
            value = round(value)  # type: ignore[arg-type]
        elif not v.is_number(value) and not isinstance(value, tuple):
            raise ConfigError(f"{_argument(processor, position)}: found {v.describe(value)}, need a number or variable")
        self.constants.append(value)
        return Constant(len(self.constants) - 1, dtype)

    def astype(self, value: Ref, dtype: str) -> Ref:
        """Return the same values in another type; the whole variable is converted, once."""
        key = (Use(value.use.variable), dtype)
        if key not in self._converted:
            base = self.variables[value.use.variable]
            use = self._variable("", base.shape, dtype, base.constant)
            self._add_conversion(Use(base.name), use, base.constant)
            self._converted[key] = use
        return replace(value, use=replace(value.use, variable=self._converted[key].variable), dtype=dtype)

    def _copied(self, value: Ref) -> Ref:
        """Return a strided view as an array of its own; kernels want neighbouring samples."""
        key = (value.use, value.dtype)
        if key not in self._converted:
            use = self._variable("", value.shape, value.dtype, value.constant)
            self._add_conversion(value.use, use, value.constant)
            self._converted[key] = use
        return replace(value, use=self._converted[key])

    def _add_conversion(self, source: Use, target: Use, constant: bool) -> None:
        step = Step("convert_type", (source,), (target,), self.label)
        (self.setup if constant else self.steps).append(step)

    # ---- times -------------------------------------------------------------------------------------------------------

    def on_grid(self, value: Ref, grid: Grid) -> Ref:
        """Return a time or duration in samples of another grid; plain values as they are."""
        if value.kind == "plain" or value.grid is None or value.grid == grid:
            return value
        scale = value.grid.period / grid.period
        shift: Value = 0.0
        if value.kind == "time":
            shift = self._start_difference(value.grid, grid)
        elif scale == 1.0:
            return replace(value, grid=grid)
        made = self.call(get("convert"), [replace(value, kind="plain"), scale, shift])[0]
        return replace(made, kind=value.kind, grid=grid, unit=value.unit, length=value.length)

    def _start_difference(self, source: Grid, target: Grid) -> Value:
        """Return how many samples of ``target`` lie between the starts of two grids."""
        shift = (source.offset - target.offset) / target.period
        if source.t0 == target.t0:
            return shift
        starts: list[Value] = [0.0 if g.t0 is None else Ref(Use(g.t0), (), "f8") for g in (source, target)]
        difference = self.call(get("numpy.subtract"), starts)[0]
        return self.call(get("convert"), [difference, 1.0 / target.period, shift])[0]

    def arithmetic(self, name: str, a: Value, b: Value) -> Value:
        """Apply an operator; two times of different grids meet on the first one's, their difference is a duration."""
        if not isinstance(a, Ref) and not isinstance(b, Ref):
            return v.constant_arithmetic(name, a, b)
        a, b = (self._elapsed(x, y) if isinstance(x, v.Offset) else x for x, y in ((a, b), (b, a)))
        grid = next((x.grid for x in (a, b) if isinstance(x, Ref) and x.kind != "plain"), None)
        kinds = [_kind_of(x, grid) for x in (a, b)]
        made = self.call(get(f"numpy.{name}"), [a, b], axis=grid)[0]
        kind = _result_kind(name, kinds[0], kinds[1])
        made = _with_kind(made, kind, grid, [a, b])
        return made if kind != "plain" or name in COMPARISONS else replace(made, unit=_common_unit(name, a, b))

    def _elapsed(self, start: v.Offset, other: Value) -> Value:
        """Return the start of a grid as a duration on the grid of the other operand."""
        grid = other.time_axis if isinstance(other, Ref) else None
        if grid is None:
            raise ConfigError("the offset of a grid can be combined with times only; declare a unit of time")
        samples = self._start_difference(Grid(grid.period, start.value, start.t0), Grid(grid.period))
        return replace(samples, kind="duration", grid=grid) if isinstance(samples, Ref) else Quantity(start.value, 1)

    def ufunc(self, name: str, *arguments: Value) -> Value:
        """Apply a NumPy function to each element."""
        processor = get(f"numpy.{name}")
        if len(arguments) != processor.n_in:
            raise ConfigError(f"{name}: {len(arguments)} arguments, need {processor.n_in}")
        if not any(isinstance(a, Ref) for a in arguments):
            return float(processor(*(np.float64(v.quantity(a).value) for a in arguments)))
        made = self.call(processor, arguments)[0]
        first = next((a for a in arguments if isinstance(a, Ref) and a.kind != "plain"), None)
        kind: Kind = first.kind if first is not None and name in KEEP_KIND else "plain"
        return _with_kind(made, kind, first.grid if first else None, list(arguments))

    def round(self, name: str, value: Ref, step: Value) -> Value:
        """Round to multiples of ``step``: a number, a time, or another grid."""
        ufunc = v.ROUNDING[name][0]
        if isinstance(step, Grid):
            return self.ufunc(ufunc, self.on_grid(value, step))
        size = v.quantity(step)
        if size.power and (value.kind == "plain" or value.grid is None):
            raise ConfigError(f"{name}: step is a time, but {v.describe(value)} is none")
        samples = size.in_samples(value.grid.period) if size.power and value.grid else size.value
        if samples == 1:
            return self.ufunc(ufunc, value)
        return self.arithmetic("multiply", self.ufunc(ufunc, self.arithmetic("divide", value, samples)), samples)

    def where(self, condition: Value, a: Value, b: Value) -> Value:
        """Return ``a`` where the condition holds, else ``b``."""
        if not isinstance(condition, Ref):
            return a if condition else b
        if condition.dtype != "b1":
            raise ConfigError(f"condition {v.describe(condition)} is not a comparison")
        grid = next((x.grid for x in (a, b) if isinstance(x, Ref) and x.kind != "plain"), None)
        kinds = [_kind_of(x, grid) for x in (a, b)]
        made = self.call(get("where"), [condition, a, b], axis=grid)[0]
        kind: Kind = "time" if "time" in kinds else "duration" if "duration" in kinds else "plain"
        made = _with_kind(made, kind, grid, [a, b])
        return made if kind != "plain" else replace(made, unit=_common_unit("where", a, b))

    def sample(self, array: Ref, index: Ref) -> Value:
        """Return the sample at an index that differs from row to row; NaN outside."""
        return self.call(get("fixed_time_pickoff"), [array, index, "i"])[0]


def _time_axis(processor: Processor, arguments: Sequence[Value]) -> Grid | None:
    refs = [(a, dims) for a, dims in zip(arguments, processor.layout.inputs, strict=True) if isinstance(a, Ref)]
    axes = [a.axis for a, dims in refs if dims and a.axis] + [a.grid for a, _ in refs if a.kind != "plain" and a.grid]
    axes += [a.axis for a, dims in refs if not dims and a.axis]
    return axes[0] if axes else None


def _argument(processor: Processor, position: int) -> str:
    return f"{processor.title}: argument {position + 1} ({processor.arguments[position]})"


def _shape(value: Value) -> Shape:
    if isinstance(value, Ref):
        return value.shape
    return np.asarray(value).shape if isinstance(value, tuple) else ()


def _match(processor: Processor, inputs: Sequence[Value]) -> tuple[dict[str, int], Shape]:
    """Return the size of each core dimension and the shape over which the processor is repeated."""
    sizes: dict[str, int] = {}
    loops = []
    for i, (value, dims) in enumerate(zip(inputs, processor.layout.inputs, strict=True)):
        shape = _shape(value)
        if len(shape) < len(dims):
            raise ConfigError(f"{_argument(processor, i)} must be an array, found {v.describe(value)}")
        n_outer = len(shape) - len(dims)
        loops.append(shape[:n_outer])
        for dim, size in zip(dims, shape[n_outer:], strict=True):
            if sizes.setdefault(dim, size) != size:
                raise ConfigError(f"{_argument(processor, i)} has {size} samples, another argument {sizes[dim]}")
    try:
        return sizes, np.broadcast_shapes(*loops)
    except ValueError as error:
        raise ConfigError(f"{processor.name}: arrays of shapes {loops} do not fit each other") from error


# lengths that follow from the input's but are not equal to it
DEDUCED = {("fft", "m"): lambda n: n // 2 + 1, ("psd", "m"): lambda n: n // 2 + 1}


def _output_shape(processor: Processor, dims: Dims, declared: Declaration, sizes: dict[str, int]) -> Shape:
    for dim in dims:
        if (processor.name, dim) in DEDUCED:
            sizes.setdefault(dim, DEDUCED[processor.name, dim](sizes["n"]))
    core = declared.shape[-len(dims) :] if declared.shape and dims else ()
    for dim, size in zip(dims, core, strict=False):
        if sizes.setdefault(dim, size) != size:
            raise ConfigError(
                f"{processor.name}: output {declared.name!r} is declared with {size} samples, but has {sizes[dim]}"
            )
    missing = [dim for dim in dims if dim not in sizes]
    if missing:
        raise ConfigError(
            f"{processor.name}: the length of output {declared.name!r} cannot be deduced; declare it, such as "
            f"{declared.name}(100, 'f')"
        )
    return tuple(sizes[dim] for dim in dims)


def _annotate(
    made: list[Ref], processor: Processor, inputs: Sequence[Value], declared: Sequence[Declaration], axis: Grid | None
) -> list[Ref]:
    """Give the outputs their axes, units and lengths: an axis follows its dimension, a time unit makes a time."""
    axes: dict[str, Grid] = {}
    for value, dims in zip(inputs, processor.layout.inputs, strict=True):
        if isinstance(value, Ref) and value.axis:
            axes.setdefault(dims[-1] if dims else "", value.axis)
    by_name = {d.name: ref for d, ref in zip(declared, made, strict=True)}
    annotated = []
    for ref, dims, declaration in zip(made, processor.layout.outputs, declared, strict=True):
        own_axis = declaration.axis or (axes.get(dims[-1] if dims else "") if ref.shape else None)
        is_time = axis is not None and own_axis is None and time_factor(declaration.unit) is not None
        if declaration.is_coord is not None:
            is_time = declaration.is_coord and axis is not None
        length = by_name[declaration.length] if isinstance(declaration.length, str) else declaration.length
        kind: Kind = "time" if is_time else "plain"
        annotated.append(
            replace(ref, kind=kind, grid=axis if is_time else None, axis=own_axis, unit=declaration.unit, length=length)
        )
    return annotated


def _kind_of(value: Value, grid: Grid | None) -> Kind:
    if isinstance(value, Ref):
        return value.kind
    return "duration" if isinstance(value, Quantity) and grid is not None else "plain"


def _result_kind(name: str, a: Kind, b: Kind) -> Kind:
    if name in COMPARISONS or (a == "plain" and b == "plain"):
        return "plain"
    if name == "add":
        return "time" if "time" in (a, b) else "duration"
    if name == "subtract":
        return "duration" if a == b or a == "plain" or b == "time" else a
    if name in ("multiply", "remainder"):
        return a if b == "plain" else b if a == "plain" else "plain"
    return a if name in ("divide", "floor_divide") and b == "plain" else "plain"


def _with_kind(made: Ref, kind: Kind, grid: Grid | None, operands: Sequence[Any]) -> Ref:
    arrays = [x for x in operands if isinstance(x, Ref)]
    length = next((x.length for x in arrays if x.length is not None), None) if made.shape else None
    unit = next((x.unit for x in arrays if x.kind != "plain"), None) if kind != "plain" else None
    return replace(made, kind=kind, grid=grid if kind != "plain" else None, unit=unit, length=length)


def _common_unit(name: str, a: Value, b: Value) -> str | None:
    """Return the unit of a result from labels: kept by sums of the same and by a number as factor."""
    units = [x.unit for x in (a, b) if isinstance(x, Ref)]
    if name in ("multiply", "divide"):
        is_scaled = (len(units) == 1 and isinstance(a, Ref)) or (name == "multiply" and v.is_number(a))
        return units[0] if is_scaled and not isinstance(b, Quantity) else None
    return units[0] if name in ("add", "subtract", "where") and len(set(units)) == 1 else None
