"""Tell a channel's failure, which is reported, from a configuration's, which stops the step."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from pygama_core.errors import ConfigError


@dataclass(eq=False)
class Outcomes:
    """How the channels of one file fared, by configuration.

    Parameters
    ----------
    file : the step's input
    """

    file: Path
    _good: set[str] = field(default_factory=set)
    _errors: dict[str, list[str]] = field(default_factory=dict)
    _without: list[str] = field(default_factory=list)

    def good(self, config: str) -> None:
        """Note a channel that its configuration suits."""
        self._good.add(config)

    def failed(self, config: str, error: str) -> None:
        """Note a channel that its configuration does not suit."""
        self._errors.setdefault(config, []).append(error)

    def not_configured(self, channel: str) -> None:
        """Note a channel without a configuration."""
        self._without.append(channel)

    def check(self, configured: Collection[str]) -> None:
        """Raise if the mistake is not a channel's.

        Parameters
        ----------
        configured : channels or patterns that have a configuration

        Raises
        ------
        ConfigError
            if a configuration fails for each of several channels, if every channel fails, or none has a configuration
        """
        for config, errors in self._errors.items():
            if config not in self._good and (len(errors) > 1 or not self._good):
                raise ConfigError(f"{self.file}: all {len(errors)} channels of {config} fail; the first: {errors[0]}")
        if self._without and not (self._good or self._errors):
            shown = ", ".join(sorted(self._without)[:3]) + ("…" if len(self._without) > 3 else "")
            raise ConfigError(
                f"{self.file}: none of its {len(self._without)} channels ({shown}) has a configuration; there are "
                f"configurations for {', '.join(configured) or 'no channel'}"
            )
