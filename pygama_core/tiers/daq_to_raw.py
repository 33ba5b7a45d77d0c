"""daq -> raw: decode a DAQ file into LH5 tables, one for each channel."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pygama_core import lh5
from pygama_core.daq.daqfile import open_daq
from pygama_core.daq.routing import Router
from pygama_core.daq.summary import DaqSummary
from pygama_core.provenance import provenance_struct


def daq_to_raw(
    daq_file: Path,
    raw_file: Path,
    *,
    format: str | None = None,
    names: Mapping[int, str] | None = None,
    n_max: int | None = None,
) -> DaqSummary:
    """Decode a DAQ file and write its raw file, which appears whole or not at all.

    Damage inside the file is skipped and counted; the account is returned and stored as ``daq_summary``.

    Parameters
    ----------
    daq_file : DAQ file of any known format, possibly compressed
    raw_file : LH5 file to write
    format : name of the DAQ format; None finds it from the content
    names : detector names by rawid, for aliases ``raw/<name>``
    n_max : stop after this many event records

    Raises
    ------
    DecodeError : if the file is empty, of no known format, or without the configuration its records need
    """
    daq = open_daq(daq_file, format)
    router = Router(names or {})
    with lh5.Writer(raw_file) as out:
        for block in daq.blocks(max_events=n_max):
            name = router.place(block)
            if isinstance(block.table, lh5.Table):
                out.append(name, block.table)
            else:
                out.write(name, block.table)
        for table, alias in router.aliases():
            out.link(table, alias)
        summary = daq.summary
        out.write("daq_summary", summary.to_struct())
        settings = {"format": format, "names": dict(names or {}), "n_max": n_max}
        out.write("provenance", provenance_struct("daq_to_raw", [Path(daq_file)], settings))
    return summary
