"""llamaDAQ files of Struck SIS3316 digitizers: channel configurations, then events of fixed size for each channel."""
