"""Rewrite a plan into one that gives the same with less work.

Shapers that are differences of moving sums (trapezoids, the start-time filter) share the running sums of their
waveform. The results are those of the plan as it was, to the last bit: the processors themselves compute so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from pygama_core.dsp.plan import Constant, Operand, Plan, Step, Use, Variable
from pygama_core.dsp.rewrite_kernels import known_kernels

BOXED_KERNELS = ("t0_filter",)  # processors whose kernels have a long run of equal taps


def optimised(plan: Plan) -> Plan:
    """Apply all rewriting.

    Parameters
    ----------
    plan : as resolved from a configuration

    Returns
    -------
    Plan : with the same outputs; bit for bit the same, but for smoothed currents and cusps, which differ by rounding
    """
    return share_sums(smooth_currents(known_kernels(plan)))


def share_sums(plan: Plan) -> Plan:
    """Replace shapers by those that use running sums, made once for each waveform."""
    rewriter = _Rewriter(plan)
    steps = [new for step in plan.steps for new in rewriter.steps_for(step)]
    return replace(
        plan,
        steps=tuple(_with_sums(step, rewriter.sums) for step in steps if not _is_made_with(step, steps)),
        variables=(*plan.variables, *rewriter.sums.values()),
        values=(*plan.values, *rewriter.values),
    )


def _is_made_with(step: Step, steps: Sequence[Step]) -> bool:
    """Whether these are the running sums of what a pole-zero correction makes, which makes them, too."""
    source = step.inputs[0] if step.processor == "running_sums" else None
    return any(other.processor == "pole_zero" and other.outputs[0] == source for other in steps)


def _with_sums(step: Step, sums: Mapping[str, Variable]) -> Step:
    variable = sums.get(step.outputs[0].variable)
    if step.processor != "pole_zero" or variable is None:
        return step
    return replace(step, processor="pole_zero_with_sums", outputs=(step.outputs[0], Use(variable.name)))


def smooth_currents(plan: Plan) -> Plan:
    """Replace upsampling and several moving means after it by one filter, where nothing else uses what is between."""
    rewriter = _Rewriter(plan)
    makers = {step.outputs[0].variable: step for step in plan.steps if step.processor == "upsampler"}
    users = Counter(use.variable for step in plan.steps for use in step.inputs if isinstance(use, Use))
    users.update(use.variable for output in plan.outputs for use in (output.use, output.length) if use is not None)
    setup, steps, variables, gone = list(plan.setup), list(plan.steps), list(plan.variables), set()
    for position, step in enumerate(plan.steps):
        source = step.inputs[0] if step.processor == "moving_window_multi" else None
        if not isinstance(source, Use) or not source.whole or users[source.variable] != 1:
            continue
        maker = makers.get(source.variable)
        made = None if maker is None else rewriter.smoothing(maker, step)
        if made is not None and maker is not None:
            steps[position], weights, weights_step = made
            variables.append(weights)
            setup.append(weights_step)
            gone.add(maker)
    return replace(
        plan,
        setup=tuple(setup),
        steps=tuple(step for step in steps if step not in gone),
        variables=tuple(variables),
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
        whole = [number for value in lengths if (number := _whole(value)) is not None]
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

    def smoothing(self, upsampler: Step, means: Step) -> tuple[Step, Variable, Step] | None:
        """Return the filter, its weights, and the step that makes these; None if it does not do the same."""
        numbers = [_whole(self.value(operand)) for operand in (upsampler.inputs[1], *means.inputs[1:])]
        source = upsampler.inputs[0]
        if not isinstance(source, Use) or any(number is None for number in numbers):
            return None
        upsample, length, n_means, kind = (number or 0 for number in numbers)
        n_in = self.variables[source.variable].shape[0]
        n_out = self.variables[means.outputs[0].variable].shape[0]
        is_plain = self._is_plain(source) and self.variables[means.outputs[0].variable].shape == (n_out,)
        if not is_plain or upsample < 1 or not 1 <= length < n_out or n_means < 1:
            return None
        if n_out > n_in * upsample - upsample // 2:
            return None
        parameters = tuple(self.constant(number, "i8") for number in (upsample, length, n_means, kind))
        n_weights = (n_means * (length - 1) + 2 * upsample - 2) // upsample + 1
        weights = Variable(f"{means.outputs[0].variable}~weights", (n_weights, upsample), "f8", constant=True)
        use = Use(weights.name)
        made = Step("smoothed_current", (source, *parameters, use), means.outputs, means.label)
        return made, weights, Step("smoothing_weights", parameters, (use,), means.label)

    def convolution(self, step: Step) -> Step | None:
        """Return a convolution by running sums; None if its kernel may have no long run of equal taps."""
        waveform, kernel, mode = step.inputs
        if not isinstance(kernel, Use) or not kernel.whole or self.makers.get(kernel.variable) not in BOXED_KERNELS:
            return None
        assert isinstance(waveform, Use)
        sums = Use(f"{waveform.variable}~sums")
        return replace(step, processor="convolve_wf_of_sums", inputs=(waveform, sums, kernel, mode))


def _whole(value: object) -> int | None:
    """Return a whole number as one; None of anything else."""
    if isinstance(value, str):
        return ord(value)
    return int(value) if isinstance(value, int | float) and value == int(value) else None


_RULES: dict[str, Callable[[_Rewriter, Step], Step | None]] = {
    "trap_norm": _Rewriter.trapezoid,
    "trap_filter": _Rewriter.trapezoid,
    "asym_trap_filter": _Rewriter.trapezoid,
    "convolve_wf": _Rewriter.convolution,
}
