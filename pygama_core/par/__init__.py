"""Parameter files: validity in time, overrides, look-up and where a value comes from."""
