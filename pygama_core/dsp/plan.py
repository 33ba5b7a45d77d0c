"""The plan: what an engine executes. Plain data, immutable, hashable and printable; all names are resolved.

A plan is made for one table layout. What may differ between detectors (parameter values) is in :attr:`Plan.values`
only, so plans of the same :attr:`Plan.structure` can share compiled code.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeAlias

Shape: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class Grid:
    """Time axis of an array: sample i is at ``offset + i * period`` [ns], plus the row's ``t0`` if there is one."""

    period: float  # [ns]
    offset: float = 0.0  # [ns]
    t0: str | None = None  # variable with each row's start [ns]


@dataclass(frozen=True)
class Variable:
    """One buffer: a value or an array for each row, or the same for all rows."""

    name: str
    shape: Shape
    dtype: str
    constant: bool = False


@dataclass(frozen=True)
class Input:
    """A variable that is copied from a column; ``path`` goes through nested tables."""

    variable: str
    path: tuple[str, ...]
    scale: float = 1.0  # of a waveform's t0 and dt, to ns
    period: float | None = None  # [ns] of a waveform; rows with another dt are an error


@dataclass(frozen=True)
class Use:
    """A variable as an argument: whole, a part of its last axis, or one sample; ``pad`` axes are put after the rows."""

    variable: str
    start: int = 0
    stop: int | None = None
    step: int = 1
    index: int | None = None
    pad: int = 0

    @property
    def whole(self) -> bool:
        """Whether all of the variable is used."""
        return (self.start, self.stop, self.step, self.index) == (0, None, 1, None)


@dataclass(frozen=True)
class Constant:
    """Position in :attr:`Plan.values` and the type the processor wants."""

    slot: int
    dtype: str


Operand: TypeAlias = Use | Constant


@dataclass(frozen=True)
class Step:
    """One call of a processor."""

    processor: str
    inputs: tuple[Operand, ...]
    outputs: tuple[Use, ...]
    label: str  # key of the recipe, for messages and timing
    title: str = ""  # what messages call the processor, if that is not its name


@dataclass(frozen=True)
class Output:
    """A column of the output table.

    A plain column is the input column ``path``, handed through untouched. Any other is a variable, as
    ``value * scale + offset + t0`` if it is a time. ``length`` makes it ragged, ``axis`` a waveform.
    """

    name: str
    path: tuple[str, ...] | None = None
    use: Use | None = None
    scale: float = 1.0
    offset: float = 0.0
    t0: str | None = None
    t0_scale: float = 1.0
    length: Use | None = None
    axis: Grid | None = None
    attrs: tuple[tuple[str, str | int | float | bool], ...] = ()

    @property
    def is_time(self) -> bool:
        """Whether the value must be converted."""
        return self.scale != 1.0 or self.offset != 0.0 or self.t0 is not None


@dataclass(frozen=True)
class Plan:
    """Steps in an order that can be executed; ``setup`` steps give the same for all rows and run once."""

    inputs: tuple[Input, ...]
    variables: tuple[Variable, ...]
    setup: tuple[Step, ...]
    steps: tuple[Step, ...]
    outputs: tuple[Output, ...]
    values: tuple[object, ...]
    defaulted: tuple[str, ...] = ()  # look-ups that the parameters did not answer

    @property
    def structure(self) -> Plan:
        """The plan without parameter values."""
        return replace(self, values=(), defaulted=())

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of the input table that are needed."""
        paths = [i.path for i in self.inputs] + [o.path for o in self.outputs if o.path]
        return tuple(dict.fromkeys(path[0] for path in paths))

    def describe(self) -> str:
        """Return the plan as text, one step in a line."""
        shapes = {v.name: f"{v.dtype}{list(v.shape)}" for v in self.variables}
        lines = [f"input  {i.variable} {shapes[i.variable]} <- {'/'.join(i.path)}" for i in self.inputs]
        for kind, steps in (("setup ", self.setup), ("step  ", self.steps)):
            for step in steps:
                made = ", ".join(f"{use.variable} {shapes[use.variable]}" for use in step.outputs)
                lines.append(
                    f"{kind} {made} <- {step.title or step.processor}({', '.join(map(self._argument, step.inputs))})"
                )
        lines += [f"output {o.name} <- {o.use.variable if o.use else '/'.join(o.path or ())}" for o in self.outputs]
        return "\n".join(lines)

    def _argument(self, operand: Operand) -> str:
        if isinstance(operand, Constant):
            return repr(self.values[operand.slot])
        if operand.index is not None:
            return f"{operand.variable}[{operand.index}]"
        return (
            operand.variable if operand.whole else f"{operand.variable}[{operand.start}:{operand.stop}:{operand.step}]"
        )
