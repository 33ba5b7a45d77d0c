"""Rewrite a plan into one that gives the same with less work.

Shapers that are differences of moving sums (trapezoids, the start-time filter) share the running sums of their
waveform. The results are those of the plan as it was, to the last bit: the processors themselves compute so.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from pygama_core.dsp.plan import Constant, Operand, Plan, Step, Use, Variable

BOXED_KERNELS = ("t0_filter",)  # processors whose kernels have a long run of equal taps


def share_sums(plan: Plan) -> Plan:
    """Replace shapers by those that use running sums, made once for each waveform."""
    rewriter = _Rewriter(plan)
    steps = [new for step in plan.steps for new in rewriter.steps_for(step)]
    return replace(
        plan,
        steps=tuple(steps),
        variables=(*plan.variables, *rewriter.sums.values()),
        values=(*plan.values, *rewriter.values),
    )


@dataclass(eq=False)
class _Rewriter:
    plan: Plan
    sums: dict[str, Variable] = field(default_factory=dict)
    values: list[object] = field(default_factory=list)
    variables: Mapping[str, Variable] = field(init=False)
    makers: Mapping[str, str] = field(init=False)  # constant array -> processor that makes it

    def __post_init__(self) -> None:
        self.variables = {v.name: v for v in self.plan.variables}
        self.makers = {use.variable: step.processor for step in self.plan.setup for use in step.outputs}

    def steps_for(self, step: Step) -> list[Step]:
        """Return what replaces a step."""
        rule = _RULES.get(step.processor)
        waveform = step.inputs[0] if step.inputs else None
        if rule is None or not isinstance(waveform, Use) or not self._is_plain(waveform):
            return [step]
        new = rule(self, step)
        return [step] if new is None else [*self._sums_of(waveform, step.label), new]

    def _is_plain(self, use: Use) -> bool:
        variable = self.variables[use.variable]
        return use.whole and not use.pad and len(variable.shape) == 1 and variable.dtype in ("f4", "f8")

    def _sums_of(self, waveform: Use, label: str) -> list[Step]:
        """Return the step that makes the sums, if they are not there yet."""
        name = waveform.variable
        if name in self.sums:
            return []
        length = self.variables[name].shape[0] + 1
        self.sums[name] = Variable(f"{name}~sums", (length,), "f8")
        return [Step("running_sums", (waveform,), (Use(f"{name}~sums"),), label)]

    def value(self, operand: Operand) -> object:
        """Return a constant's value; None of anything else."""
        return self.plan.values[operand.slot] if isinstance(operand, Constant) else None

    def constant(self, value: object, dtype: str) -> Constant:
        """Add a constant."""
        self.values.append(value)
        return Constant(len(self.plan.values) + len(self.values) - 1, dtype)

    def trapezoid(self, step: Step) -> Step | None:
        """Return a shaper by running sums; None if its lengths are not known or wrong, which it reports itself."""
        lengths = [self.value(operand) for operand in step.inputs[1:]]
        whole = [value for value in lengths if isinstance(value, int)]
        waveform = step.inputs[0]
        assert isinstance(waveform, Use)
        if len(whole) != len(lengths):
            return None
        rise, flat = whole[:2]
        fall = whole[2] if len(whole) == 3 else rise
        is_sum = step.processor == "trap_filter"
        too_short = min(rise, fall) < (0 if is_sum else 1) or flat < 0
        if too_short or rise + flat + fall > self.variables[waveform.variable].shape[0]:
            return None
        scales = (1.0, 1.0) if is_sum else (1.0 / rise, 1.0 / fall)
        parameters = [self.constant(x, "i8") for x in (rise, flat, fall)] + [self.constant(x, "f8") for x in scales]
        return replace(step, processor="box_of_sums", inputs=(Use(f"{waveform.variable}~sums"), *parameters))

    def convolution(self, step: Step) -> Step | None:
        """Return a convolution by running sums; None if its kernel may have no long run of equal taps."""
        waveform, kernel, mode = step.inputs
        if not isinstance(kernel, Use) or not kernel.whole or self.makers.get(kernel.variable) not in BOXED_KERNELS:
            return None
        assert isinstance(waveform, Use)
        sums = Use(f"{waveform.variable}~sums")
        return replace(step, processor="convolve_wf_of_sums", inputs=(waveform, sums, kernel, mode))


_RULES: dict[str, Callable[[_Rewriter, Step], Step | None]] = {
    "trap_norm": _Rewriter.trapezoid,
    "trap_filter": _Rewriter.trapezoid,
    "asym_trap_filter": _Rewriter.trapezoid,
    "convolve_wf": _Rewriter.convolution,
}
