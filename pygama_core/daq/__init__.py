"""DAQ files to tables: one module or package for each format, found by content.

``open_daq(path)`` gives a :class:`~pygama_core.daq.daqfile.DaqFile`; its ``blocks()`` are tables of decoded rows.
"""
