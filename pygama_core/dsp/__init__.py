"""Digital signal processing: a configuration becomes a plan, a plan runs over blocks of waveforms.

:mod:`config` reads the text, :mod:`resolve` turns it into an immutable :mod:`plan` for one table's layout, and an
engine (:mod:`plain`) executes the plan; :class:`chain.ProcessingChain` is what callers use.
"""
