"""The signal processors, one module for each family; :mod:`pygama_core.dsp.registry` loads a family when it is used."""
