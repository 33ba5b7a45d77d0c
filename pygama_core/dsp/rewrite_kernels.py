"""Convolutions with cusp and zero-area-cusp kernels become running sums of exponentials and parabolas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pygama_core.dsp.plan import Constant, Operand, Plan, Step, Use

CONVOLUTIONS = ("convolve_wf", "fft_convolve_wf")
FLANKS = {"cusp_filter": 0, "zac_filter": 1}
# digits are lost as exp(length / sigma), in the kernel and along the output: the Fourier transform is better beyond
MAX_GROWTH = 12.0


def known_kernels(plan: Plan) -> Plan:
    """Return a plan with the same outputs, up to rounding, that takes fewer operations."""
    kernels = {step.outputs[0].variable: step for step in plan.setup if len(step.outputs) == 1}
    values = list(plan.values)
    steps = tuple(_cheaper(step, kernels, plan, values) for step in plan.steps)
    used = {u.variable for step in steps for u in step.inputs if isinstance(u, Use)}
    used |= {u.variable for o in plan.outputs for u in (o.use, o.length) if u is not None}
    setup = _needed(plan.setup, used)
    made = {use.variable for step in (*setup, *steps) for use in step.outputs}
    inputs = {i.variable for i in plan.inputs}
    variables = tuple(v for v in plan.variables if v.name in made | inputs)
    return replace(plan, setup=setup, steps=steps, variables=variables, values=tuple(values))


def _needed(setup: Sequence[Step], used: set[str]) -> tuple[Step, ...]:
    """Return the set-up steps that something still uses."""
    kept: list[Step] = []
    for step in reversed(setup):
        if any(use.variable in used for use in step.outputs):
            kept.append(step)
            used |= {u.variable for u in step.inputs if isinstance(u, Use)}
    return tuple(reversed(kept))


def _number(operand: Operand, values: Sequence[object]) -> float | None:
    if not isinstance(operand, Constant):
        return None
    value = values[operand.slot]
    return float(value) if isinstance(value, bool | int | float | np.number) else None


def _cheaper(step: Step, kernels: dict[str, Step], plan: Plan, values: list[object]) -> Step:
    if step.processor not in CONVOLUTIONS or not isinstance(step.inputs[1], Use) or not step.inputs[1].whole:
        return step
    kernel = kernels.get(step.inputs[1].variable)
    mode = _number(step.inputs[2], values)
    if kernel is None or mode is None:
        return step
    settings = [_number(operand, values) for operand in kernel.inputs]
    sizes = {v.name: v.shape for v in plan.variables}
    if kernel.processor in FLANKS and mode == ord("v") and len(sizes[step.inputs[1].variable]) == 1:
        return _flanks(step, kernel, settings, sizes, values)
    return step


def _flanks(
    step: Step, kernel: Step, settings: list[float | None], sizes: dict[str, tuple[int, ...]], values: list[object]
) -> Step:
    sigma, flat, decay = settings
    m, p = sizes[kernel.outputs[0].variable][-1], sizes[step.outputs[0].variable][-1]
    if sigma is None or flat is None or decay is None or not sigma > 0 or not decay > 0 or not 0 <= flat <= m - 4:
        return step
    if (m - flat) / 2 / sigma > MAX_GROWTH or p / sigma > MAX_GROWTH:
        return step
    given = (sigma, round(flat), decay, FLANKS[kernel.processor])
    constants = _append(values, given, ("f8", "i4", "f8", "i4"))
    return replace(step, processor="flank_convolve", inputs=(step.inputs[0], *constants))


def _append(values: list[object], given: Sequence[object], types: Sequence[str]) -> tuple[Constant, ...]:
    first = len(values)
    values.extend(given)
    return tuple(Constant(first + i, dtype) for i, dtype in enumerate(types))
