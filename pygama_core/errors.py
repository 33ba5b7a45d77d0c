"""The one error tree. A message says where, what was found, what was expected and what to do."""


class PygamaError(Exception):
    """Base of every error this package raises on purpose."""


class ConfigError(PygamaError):
    """A configuration file or value is wrong; names the file and the key."""


class ExpressionError(ConfigError):
    """An expression in a configuration cannot be parsed, is not allowed, or fails on its data."""


class DecodeError(PygamaError):
    """A DAQ file cannot be decoded at all; damage inside a file is salvaged and counted instead."""


class LH5Error(PygamaError):
    """An LH5 object is missing, malformed, or does not fit what is written to it."""


class ProcessorError(PygamaError):
    """A signal processor was given arguments it cannot work with (static text when raised in a kernel)."""


class CalibrationError(PygamaError):
    """A calibration step could not give a valid result; the driver records it as that detector's status."""


class ParameterError(PygamaError):
    """A parameter file, validity catalogue or look-up is wrong or has no answer."""


class EventError(PygamaError):
    """A TCM or event-building step met data or configuration it cannot combine."""
