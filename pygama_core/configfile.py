"""Read configuration files: YAML or JSON mappings of plain values, never objects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from pygama_core.errors import ConfigError


def read_mapping(path: Path) -> dict[str, Any]:
    """Return the content of a YAML or JSON file; an empty file is an empty mapping.

    Raises
    ------
    ConfigError
        if the file is missing, is not YAML, or holds something else than a mapping
    """
    try:
        content = yaml.load(
            Path(path).read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        )
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: cannot be read: not text in UTF-8") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: holds {type(content).__name__}, expected a mapping of keys")
    return content
