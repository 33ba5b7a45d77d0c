"""What recorders need to know about a cycle: its run, its channels, and when what happened."""

from __future__ import annotations

from dataclasses import dataclass

from pygama_core.sim import fcio_writer as fcio
from pygama_core.sim import orca_writer as orca
from pygama_core.sim.layout import Layout, card_input
from pygama_core.sim.settings import Run
from pygama_core.sim.timeline import ENABLE_TIME, Timeline

SECOND = 1_000_000_000  # [ns]
GPS_ALARM = 50_000  # what real files have there
ENVIRONMENT = (35_000,) * 5 + (3_300,) * 6 + (1_200, 250, 30_000, 30_000)


@dataclass(frozen=True, eq=False)
class Cycle:
    """What the recorders need to know about a cycle."""

    run: Run
    layout: Layout
    timeline: Timeline
    start_ns: int  # unix time at which the FPGA clock was 0
    n_samples: int
    trigger_sample: int

    @property
    def config(self) -> fcio.FcioConfig:
        """The stream's configuration."""
        tracemap = tuple(fcio.trace_map_entry(*card_input(int(rawid))) for rawid in self.layout.rawids)
        gps = GPS_ALARM if self.run.gps else 0
        # in ORCA the id of the readout object stands above that of the listener
        readout_id = orca.READOUT_ID if self.run.format == "orca-fcio" else 0
        streamid = readout_id << 16 | self.layout.streamid
        return fcio.FcioConfig(tracemap, self.n_samples, streamid=streamid, gps=gps)

    @property
    def run_number(self) -> int:
        """The run's number."""
        return int(self.run.run[1:])

    def times(self, event: int) -> fcio.EventTimes:
        """Return the times of an event; the unix time is an offset to the FPGA clock, whose place depends on gps."""
        seconds, microseconds = divmod(self.start_ns // 1000, 1_000_000)
        master = seconds if self.run.gps else 0
        pps, ticks = fcio.clock(int(self.timeline.trigger_time[event]))
        start, stop = self.timeline.dead_interval[event]
        if event == 0:
            start, stop = -1, ENABLE_TIME
        dead = (*(fcio.clock(start) if start >= 0 else (0, 0)), *fcio.clock(stop))
        return fcio.EventTimes(
            timestamp=(event, pps, ticks, fcio.MAX_TICKS, 0),
            timeoffset=(seconds, microseconds, master, 0, 0, seconds, microseconds, 0, 0, 0),
            deadregion=(*dead, fcio.MAX_TICKS, 0, len(self.layout.names)),
        )

    def status(self) -> bytes:
        """Return the Status record of the cycle's end: the master and each ADC card."""
        last = int(self.timeline.trigger_time[-1])
        pps, ticks = fcio.clock(last)
        start = divmod(self.start_ns // 1000, 1_000_000)
        server = divmod((self.start_ns + last) // 1000, 1_000_000)
        requests = [fcio.MASTER_REQUEST, *(fcio.ADC_REQUEST + i for i in range(self.config.n_cards))]
        number = len(self.timeline.trigger_time)
        cards = [fcio.CardStatus(request, number, pps, ticks, ENVIRONMENT) for request in requests]
        return fcio.status([pps, ticks * fcio.TICK // 1000, *server, 0, *start], cards)
