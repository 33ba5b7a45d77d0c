"""The built-in experiment: physics -> waveforms -> real DAQ files, with known truth.

Start from :mod:`pygama_core.sim.settings` (what is simulated) and :mod:`pygama_core.sim.cycle` (one DAQ file).
The writers of the formats, :mod:`pygama_core.sim.fcio_writer` and :mod:`pygama_core.sim.orca_writer`, stand alone.
"""
