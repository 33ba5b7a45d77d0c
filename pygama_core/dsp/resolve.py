"""From a configuration, a table's layout and a channel's parameters to a plan.

Names are resolved on demand, starting from the wanted outputs: what nothing depends on is never looked at.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from pygama_core.dsp import values as v
from pygama_core.dsp.build import StepBuilder
from pygama_core.dsp.calls import bound_factory, foreign_call, is_foreign, needs_factory, positional, split_keyword
from pygama_core.dsp.config import REDUCTIONS, ChainConfig, Recipe
from pygama_core.dsp.evaluate import Declaration, Evaluator, located
from pygama_core.dsp.plan import Grid, Input, Output, Plan, Shape, Use, Variable
from pygama_core.dsp.registry import Processor, get
from pygama_core.dsp.units import Quantity, time_factor
from pygama_core.dsp.values import Ref, Value
from pygama_core.errors import ConfigError
from pygama_core.lh5.types import Array, Table

NO_UNIT = (None, "")
ARITHMETIC = tuple(f"numpy.{name}" for name in v.OPERATORS)


@dataclass(frozen=True)
class Column:
    """What a plan must know of an input column."""

    shape: Shape
    dtype: str
    unit: str | None = None
    period: float | None = None  # [ns]; waveforms only
    t0_scale: float = 1.0  # [ns] per unit of the waveform's t0 and dt
    usable: bool = True  # ragged columns and tables can only be handed through


Layout: TypeAlias = tuple[tuple[str, Column], ...]
NOMINAL_PERIOD = 16.0  # [ns]; of waveform tables without rows, whose dt nobody knows


def layout_of(table: Table) -> Layout:
    """Return the layout of a table's columns; a waveform's period is that of its first row."""
    return tuple((name, _column(column)) for name, column in table.columns.items())


def _column(column: Any) -> Column:
    if isinstance(column, Array) and column.values.dtype.kind in "buif":
        unit = column.attrs.get("units")
        dtype = column.values.dtype.str[1:]
        return Column(column.values.shape[1:], dtype, None if unit is None else str(unit))
    if isinstance(column, Table) and column.is_waveform and isinstance(column["values"], Array):
        values, dt = column["values"], column["dt"]
        factor = time_factor(str(dt.attrs.get("units", "ns"))) or 1.0 if isinstance(dt, Array) else 1.0
        period = float(dt.values[0]) * factor if isinstance(dt, Array) and len(dt) else NOMINAL_PERIOD
        return Column(values.values.shape[1:], values.values.dtype.str[1:], None, period, factor)
    return Column((), "", usable=False)


def resolve(
    config: ChainConfig, layout: Layout, parameters: Mapping[str, Any], outputs: Sequence[str] | None = None
) -> Plan:
    """Make the plan for one table layout and one channel's parameters.

    Parameters
    ----------
    config : the parsed configuration
    layout : columns of the input table, from :func:`layout_of`
    parameters : the channel's values for ``db.`` look-ups, nested
    outputs : names of the wanted columns; default: those of the configuration

    Raises
    ------
    ConfigError : names file, recipe, argument and what to do
    """
    wanted = config.outputs if outputs is None else tuple(dict.fromkeys(outputs))
    if not wanted:
        raise ConfigError(f"{config.source}: no outputs; list the wanted names under outputs")
    return _Resolver(config, dict(layout), parameters).plan(wanted)


class _Resolver(StepBuilder):
    """Knows the names: recipes, columns and parameters."""

    def __init__(self, config: ChainConfig, columns: dict[str, Column], parameters: Mapping[str, Any]) -> None:
        super().__init__(working=config.working)
        self.config = config
        self.columns = columns
        self.parameters = parameters
        self.recipes = config.by_name
        self.names: dict[str, Value] = {}
        self.inputs: dict[str, Input] = {}
        self.active: list[str] = []
        self.defaulted: dict[str, None] = {}

    def plan(self, wanted: Sequence[str]) -> Plan:
        """Resolve the wanted names and freeze the result."""
        outputs = tuple(self._output(name) for name in wanted)
        needed = {o.t0 for o in outputs} | {o.axis.t0 for o in outputs if o.axis}
        needed |= {use.variable for step in self.steps for use in step.inputs if isinstance(use, Use)}
        inputs = tuple(
            i for i in self.inputs.values() if i.variable in needed or i.period or self._is_output(i, outputs)
        )
        kept = {i.variable for i in self.inputs.values()} - {i.variable for i in inputs}
        variables = tuple(var for var in self.variables.values() if var.name not in kept)
        return Plan(
            inputs,
            variables,
            tuple(self.setup),
            tuple(self.steps),
            outputs,
            tuple(self.constants),
            tuple(self.defaulted),
        )

    @staticmethod
    def _is_output(source: Input, outputs: Sequence[Output]) -> bool:
        return any(o.use is not None and o.use.variable == source.variable for o in outputs)

    # ---- names -------------------------------------------------------------------------------------------------------

    def name(self, name: str) -> Value:
        """Return the value of a name, resolving its recipe if it has one."""
        if name not in self.names:
            if name in self.recipes:
                self._make(self.recipes[name], name)
            else:
                self._make_input(name)
        return self.names[name]

    def _make_input(self, name: str) -> None:
        column = self.columns.get(name)
        if column is None:
            raise self._unknown(name)
        if not column.usable:
            raise ConfigError(f"column {name!r} is ragged or a table; it can only be an output as it is")
        axis = None
        if column.period is not None:
            start = f"{name}.t0"
            self.variables[start] = Variable(start, (), "f8")
            self.inputs[start] = Input(start, (name, "t0"), column.t0_scale)
            axis = Grid(column.period, 0.0, start)
        path = (name,) if column.period is None else (name, "values")
        self.inputs[name] = Input(name, path, column.t0_scale, column.period)
        self.variables[name] = Variable(name, column.shape, column.dtype)
        self.names[name] = Ref(Use(name), column.shape, column.dtype, axis=axis, unit=column.unit)

    def _unknown(self, name: str) -> ConfigError:
        known = (*self.recipes, *self.columns)
        close = difflib.get_close_matches(name, known, 3)
        hint = f"did you mean {', '.join(close)}?" if close else f"columns: {', '.join(self.columns) or 'none'}"
        return ConfigError(f"{name!r} is neither made by a processor nor a column of the table; {hint}")

    def parameter(self, path: str, recipe: Recipe) -> Any:
        """Return the value of a ``db.`` look-up: the channel's parameter, else the recipe's default."""
        value: Any = self.parameters
        for key in path.split(".")[1:]:
            value = value.get(key) if isinstance(value, Mapping) else None
        if value is not None and not isinstance(value, Mapping):
            return value
        defaults = dict(recipe.defaults)
        if path not in defaults:
            known = f"defaults: {', '.join(defaults)}" if defaults else "the recipe has no defaults"
            raise ConfigError(f"{path} is not among the channel's parameters, and {known}")
        self.defaulted[path] = None
        return defaults[path]

    # ---- recipes -----------------------------------------------------------------------------------------------------

    def _make(self, recipe: Recipe, name: str) -> None:
        where = f"{self.config.source}: {recipe.key}"
        if name in self.active or recipe.key in self.active:
            loop = " -> ".join([*self.active[self.active.index(recipe.key) :], recipe.key])
            raise ConfigError(f"{where}: depends on itself: {loop}")
        self.active.append(recipe.key)
        before, self.label = self.label, recipe.key
        evaluator = Evaluator(self, recipe, where)
        try:
            if recipe.args is None:
                self.names[name] = _relabel(evaluator.text(recipe.function), recipe.units)
            else:
                self._call_recipe(recipe, recipe.args, evaluator)
        except ConfigError as error:
            raise located(error, where) from error
        finally:
            self.active.pop()
            self.label = before

    def _call_recipe(self, recipe: Recipe, args: tuple[Any, ...], evaluator: Evaluator) -> None:
        if is_foreign(recipe) or _is_numpy_call(recipe, args):
            self._foreign_recipe(recipe, args, evaluator)
            return
        if needs_factory(recipe, evaluator.where):
            bound = bound_factory(recipe, evaluator)
            processor = get(bound.processor)
            n_own = processor.n_in - len(bound.constants)
            args = args[:n_own] + bound.constants + args[n_own:]
        else:
            processor = get(recipe.function)
            args = processor.arranged(positional(processor, args, evaluator.where))
        if processor.name in ARITHMETIC and len(args) == 3:
            self._arithmetic_recipe(recipe, processor, args, evaluator)
            return
        declared = _declarations(recipe, processor, args, evaluator)
        inputs = [self._argument(processor, i, a, evaluator) for i, a in enumerate(args[: processor.n_in])]
        self._add_call(recipe, processor, inputs, declared, evaluator)

    def _foreign_recipe(self, recipe: Recipe, args: tuple[Any, ...], evaluator: Evaluator) -> None:
        if "." not in recipe.function:
            recipe = replace(recipe, function=f"numpy.{recipe.function}")
        call, inputs, declared = foreign_call(recipe, args, evaluator)
        self._add_call(recipe, get(call.name), inputs, declared, evaluator)

    def _add_call(
        self,
        recipe: Recipe,
        processor: Processor,
        inputs: Sequence[Value],
        declared: Sequence[Declaration],
        evaluator: Evaluator,
    ) -> None:
        units = dict(zip(recipe.outputs, recipe.units, strict=False))
        declared = [replace(d, unit=units.get(d.name) or d.unit) for d in declared]
        axis = None
        if recipe.coord_grid is not None:
            grid = evaluator.text(recipe.coord_grid)
            axis = grid.time_axis if isinstance(grid, Ref) else grid if isinstance(grid, Grid) else None
        made = self.call(processor, inputs, declared, axis)
        self.names.update({d.name: ref for d, ref in zip(declared, made, strict=True) if d.name in recipe.outputs})

    def _argument(self, processor: Processor, position: int, value: Any, evaluator: Evaluator) -> Value:
        declared = evaluator.declaration(value)
        if declared is not None:
            raise ConfigError(
                f"{evaluator.where}: argument {position + 1} is the output {declared.name!r}, but {processor.name} "
                f"takes {processor.arguments[position]!r} there; order: {', '.join(processor.arguments)}"
            )
        return evaluator.argument(value)

    def _arithmetic_recipe(
        self, recipe: Recipe, processor: Processor, args: tuple[Any, ...], evaluator: Evaluator
    ) -> None:
        declared = _declarations(recipe, processor, args, evaluator)[0]
        a, b = (self._argument(processor, i, value, evaluator) for i, value in enumerate(args[:2]))
        made = self.arithmetic(processor.name.removeprefix("numpy."), a, b)
        self.names[declared.name] = _relabel(made, recipe.units or (declared.unit,))

    # ---- outputs -----------------------------------------------------------------------------------------------------

    def _output(self, name: str) -> Output:
        where = f"{self.config.source}: outputs"
        if name not in self.recipes and name in self.columns:
            return Output(name, path=(name,))
        try:
            value = self.name(name)
        except ConfigError as error:
            raise located(error, where) from error
        recipe = self.recipes[name]
        if not isinstance(value, Ref):
            value = self._constant_output(value, recipe, f"{where}: {name}")
        attrs: dict[str, Any] = dict(recipe.lh5_attrs)
        if recipe.description:
            attrs["description"] = recipe.description
        return _output_of(name, value, attrs)

    def _constant_output(self, value: Value, recipe: Recipe, where: str) -> Ref:
        unit = recipe.units[0] if recipe.units else None
        if isinstance(value, Quantity) and value.power == 1:
            value, unit = value.value / (time_factor(unit) or 1.0), unit or "ns"
        if not v.is_number(value) and not isinstance(value, tuple):
            raise ConfigError(f"{where} is {v.describe(value)}; only numbers, times and variables can be columns")
        self.label = recipe.key
        return replace(self.call(get("convert_type"), [value])[0], unit=unit)


def _is_numpy_call(recipe: Recipe, args: tuple[Any, ...]) -> bool:
    """Whether a reduction that we have ourselves is called with keywords, as NumPy's."""
    return recipe.function in REDUCTIONS.values() and any(split_keyword(a)[0] for a in args)


def _declarations(
    recipe: Recipe, processor: Processor, args: tuple[Any, ...], evaluator: Evaluator
) -> list[Declaration]:
    """Return the output arguments; with the inputs only, the names of the key are the outputs in their order."""
    n_out = len(processor.layout.outputs)
    names_none = not any(evaluator.declaration(a) for a in args)
    if len(args) == processor.n_in and len(recipe.outputs) == n_out and names_none:
        return [Declaration(name) for name in recipe.outputs]
    if len(args) != processor.n_in + n_out:
        raise ConfigError(
            f"{evaluator.where}: {len(args)} arguments; {processor.name} takes {processor.n_in + n_out}: "
            f"{', '.join(processor.arguments)}"
        )
    declared = []
    for position, text in enumerate(args[processor.n_in :], processor.n_in):
        declaration = evaluator.declaration(text)
        if declaration is None:
            raise ConfigError(
                f"{evaluator.where}: argument {position + 1} ({processor.arguments[position]} of {processor.name}) is "
                f"an output and must be one of {', '.join(recipe.outputs)}; found {text!r}"
            )
        declared.append(declaration)
    missing = set(recipe.outputs) - {d.name for d in declared}
    if missing or len({d.name for d in declared}) < len(declared):
        raise ConfigError(
            f"{evaluator.where}: every name of the key must be one output argument; missing: "
            f"{', '.join(sorted(missing)) or 'none, but one is there twice'}"
        )
    return declared


def _relabel(value: Value, units: Sequence[str | None]) -> Value:
    """Give an expression's result the unit of its recipe; a time stays a time only with a unit of time."""
    unit = units[0] if units else None
    if not isinstance(value, Ref) or unit is None:
        return value
    if value.kind != "plain" and time_factor(unit) is None:
        return replace(value, kind="plain", grid=None, unit=unit)
    return replace(value, unit=unit)


def _output_of(name: str, value: Ref, attrs: dict[str, Any]) -> Output:
    unit, grid = value.unit, value.grid
    scale = offset = 0.0
    output = Output(name, use=value.use, length=None if value.length is None else value.length.use)
    if value.kind != "plain" and grid is not None:
        unit = unit or "ns"
        factor = time_factor(unit) or 1.0
        scale, offset = grid.period / factor, grid.offset / factor if value.kind == "time" else 0.0
        start = grid.t0 if value.kind == "time" else None
        output = replace(output, scale=scale, offset=offset, t0=start, t0_scale=1.0 / factor)
    if unit not in NO_UNIT:
        attrs["units"] = unit
    axis = value.axis if len(value.shape) == 1 and value.length is None else None
    return replace(output, axis=axis, attrs=tuple(sorted(attrs.items())))
