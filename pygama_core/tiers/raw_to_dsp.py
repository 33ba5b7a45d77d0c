"""raw -> dsp: run each channel's processing chain over its waveforms."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, TypeAlias

from pygama_core import lh5
from pygama_core.configfile import read_mapping
from pygama_core.dsp.chain import ProcessingChain
from pygama_core.dsp.config import ChainConfig, load_config
from pygama_core.errors import ConfigError, PygamaError
from pygama_core.lh5.types import Scalar, Struct, Table, concatenate
from pygama_core.provenance import provenance_struct
from pygama_core.tiers.outcome import Outcomes

Config: TypeAlias = "Path | str | Mapping[str, Any]"
BLOCK_ROWS = 2048  # waveforms in memory for each thread: 16 MB at 4096 samples


@dataclass(frozen=True)
class ChannelReport:
    """What became of one channel."""

    channel: str
    status: str  # done, failed, no config
    n_rows: int = 0
    error: str = ""
    defaulted: tuple[str, ...] = ()  # db. look-ups that its parameters did not answer


@dataclass(frozen=True)
class DspReport:
    """What became of all channels of a file, in the order of their names."""

    channels: tuple[ChannelReport, ...]

    def with_status(self, status: str) -> tuple[ChannelReport, ...]:
        """Return the channels that are done, failed, or have no config."""
        return tuple(c for c in self.channels if c.status == status)

    @property
    def failed(self) -> tuple[ChannelReport, ...]:
        """Channels that are not in the output because of an error."""
        return self.with_status("failed")

    @property
    def n_rows(self) -> int:
        """Number of rows written."""
        return sum(c.n_rows for c in self.channels)

    def text(self) -> str:
        """Return a summary: counts, then one line for each channel that needs attention."""
        done, none = self.with_status("done"), self.with_status("no config")
        lines = [
            f"{len(done)} channels with {self.n_rows} rows done, {len(self.failed)} failed, {len(none)} without config"
        ]
        lines += [f"{c.channel} failed: {c.error}" for c in self.failed]
        lines += [f"{c.channel} has no config, not processed" for c in none]
        users: dict[tuple[str, ...], list[str]] = {}
        for c in done:
            users.setdefault(c.defaulted, []).append(c.channel)
        for names, channels in users.items():
            if names:
                lines.append(f"{', '.join(channels)} ({len(channels)}) used defaults for {', '.join(names)}")
        return "\n".join(lines)


@dataclass(eq=False)
class _Job:
    """One channel while it is processed."""

    channel: str
    table: str
    chain: ProcessingChain
    columns: tuple[str, ...]
    n_rows: int
    defaulted: tuple[str, ...]
    error: str = ""
    blocks: list[Table] = field(default_factory=list)

    def run(self, raw_file: Path, rows: slice) -> Table | PygamaError | None:
        """Process some rows; None if the channel has failed already."""
        if self.error:
            return None
        try:
            return self.chain.execute(lh5.read(raw_file, self.table, columns=self.columns, rows=rows), rows.start)
        except PygamaError as error:
            return error

    def report(self) -> ChannelReport:
        """Return the final state."""
        if self.error:
            return ChannelReport(self.channel, "failed", error=self.error, defaulted=self.defaulted)
        return ChannelReport(self.channel, "done", self.n_rows, defaulted=self.defaulted)


def raw_to_dsp(  # noqa: PLR0913 (all settings of the step)
    raw_file: Path,
    dsp_file: Path,
    *,
    configs: Mapping[str, Config],
    parameters: Mapping[str, Mapping[str, Any]] | None = None,
    n_threads: int | None = None,
    block_rows: int = BLOCK_ROWS,
    n_max: int | None = None,
) -> DspReport:
    """Process every table ``ch*/raw`` into ``ch*/dsp``.

    A channel whose configuration or data a processor refuses is left out of the output and named in the report; the
    others go on. Output does not depend on the number of threads or the size of the blocks.

    Parameters
    ----------
    raw_file : LH5 file with the raw tables
    dsp_file : LH5 file to make
    configs : channel name or wildcard pattern (``ch1104*``) -> configuration file or content; the first match counts
    parameters : channel name -> values for ``db.`` look-ups
    n_threads : channels and blocks processed at the same time; default: all cores this process may use
    block_rows : rows read at once by each thread
    n_max : process at most so many rows of each channel

    Returns
    -------
    DspReport : one entry for each raw table

    Raises
    ------
    ConfigError : if block_rows is not positive, a configuration file is malformed, or one suits none of its channels;
        if no channel of the file has a configuration
    LH5Error : if the raw file cannot be read or the dsp file not be written
    """
    if block_rows < 1:
        raise ConfigError(f"block_rows = {block_rows}; need at least 1")
    parsed = _load_all(configs)
    jobs, reports = _plan_all(raw_file, parsed, parameters or {}, n_max)
    threads = n_threads or len(os.sched_getaffinity(0))
    with lh5.Writer(dsp_file) as out, ThreadPoolExecutor(threads) as pool:
        for job, result, is_last in _in_order(pool, jobs, raw_file, block_rows, 2 * threads):
            _collect(job, result)
            if is_last and not job.error:
                out.append(f"{job.channel}/dsp", concatenate(job.blocks))
            if is_last:
                job.blocks.clear()
                reports[job.channel] = job.report()
        settings = {"configs": {p: _content(c) for p, c in configs.items()}, "parameters": parameters, "n_max": n_max}
        out.write("provenance", provenance_struct("raw_to_dsp", [Path(raw_file)], settings))
        out.write("processing", _as_struct(reports))
    return DspReport(tuple(reports[channel] for channel in sorted(reports)))


def _content(config: Config) -> Mapping[str, Any]:
    return config if isinstance(config, Mapping) else read_mapping(Path(config))


def _as_struct(reports: Mapping[str, ChannelReport]) -> Struct:
    """Return what became of each channel as it is stored in the file."""
    return Struct({channel: Scalar(r.error or r.status) for channel, r in sorted(reports.items())})


def _plan_all(
    raw_file: Path,
    configs: Mapping[str, ChainConfig],
    parameters: Mapping[str, Mapping[str, Any]],
    n_max: int | None,
) -> tuple[list[_Job], dict[str, ChannelReport]]:
    """Return the channels to process, and the reports of the others.

    Raises
    ------
    ConfigError
        if a configuration fails for all of its channels, or no channel has one: the mistake is not a channel's
    """
    jobs: list[_Job] = []
    reports: dict[str, ChannelReport] = {}
    outcomes = Outcomes(raw_file)
    for table in lh5.ls(raw_file, "ch*/raw"):
        channel = table.rpartition("/")[0]
        config = next((config for pattern, config in configs.items() if fnmatchcase(channel, pattern)), None)
        if config is None:
            outcomes.not_configured(channel)
            reports[channel] = ChannelReport(channel, "no config")
            continue
        prepared = _prepare(raw_file, table, config, parameters.get(channel, {}), n_max)
        if isinstance(prepared, _Job):
            jobs.append(prepared)
            outcomes.good(config.source)
        else:
            reports[channel] = prepared
            outcomes.failed(config.source, prepared.error)
    outcomes.check(configs)
    return jobs, reports


def _load_all(configs: Mapping[str, Config]) -> dict[str, ChainConfig]:
    """Read each configuration once, also if many channels share it."""
    files = {str(config): load_config(config, str(config)) for config in configs.values() if _is_file(config)}
    return {
        pattern: files[str(config)] if _is_file(config) else load_config(config, f"dsp config of {pattern}")
        for pattern, config in configs.items()
    }


def _is_file(config: Config) -> bool:
    return not isinstance(config, Mapping)


def _prepare(
    raw_file: Path, table: str, config: ChainConfig, parameters: Mapping[str, Any], n_max: int | None
) -> _Job | ChannelReport:
    """Make the channel's plan from its first row."""
    channel = table.rpartition("/")[0]
    chain = ProcessingChain(config, parameters=parameters, name=channel)
    try:
        plan = chain.plan_for(lh5.read(raw_file, table, rows=slice(0, 1)))
        n_rows = lh5.n_rows(raw_file, table)
    except PygamaError as error:
        return ChannelReport(channel, "failed", error=str(error))
    return _Job(channel, table, chain, plan.columns, n_rows if n_max is None else min(n_rows, n_max), plan.defaulted)


def _collect(job: _Job, result: Table | PygamaError | None) -> None:
    """Keep a block until the channel is known to be good; its first error drops all it has."""
    if isinstance(result, PygamaError):
        job.error = job.error or str(result)
        job.blocks.clear()
    elif result is not None and not job.error:
        job.blocks.append(result)


def _in_order(
    pool: ThreadPoolExecutor, jobs: list[_Job], raw_file: Path, block_rows: int, n_ahead: int
) -> Iterator[tuple[_Job, Table | PygamaError | None, bool]]:
    """Run all blocks of all channels, at most ``n_ahead`` at a time, and give the results in order."""
    waiting: deque[tuple[_Job, Future[Table | PygamaError | None], bool]] = deque()
    for job in jobs:
        for start in range(0, max(job.n_rows, 1), block_rows):
            stop = min(start + block_rows, job.n_rows)
            future = pool.submit(job.run, raw_file, slice(start, stop))
            waiting.append((job, future, stop == job.n_rows))
            if len(waiting) >= n_ahead:
                done = waiting.popleft()
                yield done[0], done[1].result(), done[2]
    for job, future, is_last in waiting:
        yield job, future.result(), is_last
