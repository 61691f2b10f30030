"""Settings of an agent as a TOML file: for machines that are set up by files and not by flags.

Keys are the fields of `AgentSettings`; cameras are `[[source]]` tables, streams `[[stream]]` and
shadows `[[shadow]]`. A file says all there is: those it does not name are not remembered. Relative
paths of sources are taken from the file's folder.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

import msgspec

from sightloop.device.errors import BadSetting
from sightloop.device.settings import AgentSettings
from sightloop.device.sources.declared import located

_TABLES = {"source": "sources", "stream": "streams", "shadow": "shadows"}
_NOT_HERE = {"format", "home", "enrol_token", *_TABLES.values()}


def read_settings_file(path: Path) -> dict[str, object]:
    """The settings of the file, as fields of `AgentSettings`.

    Raises:
        BadSetting: it cannot be read, is no TOML, or has a key that is no setting.
    """
    try:
        content = tomllib.loads(path.read_text())
    except OSError as error:
        problem = f"cannot be read: {error.strerror or error}"
        raise BadSetting(setting="--config", value=str(path), problem=problem) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        problem = f"is not TOML: {error}"
        raise BadSetting(setting="--config", value=str(path), problem=problem) from error
    known = {*AgentSettings.__struct_fields__, *_TABLES} - _NOT_HERE
    for key in content:
        if key not in known:
            problem = f"is no setting of {path}; known are: {', '.join(sorted(known))}"
            raise BadSetting(setting="key", value=key, problem=problem)
    defaults = msgspec.to_builtins(AgentSettings(home="").streams)
    settings = {_TABLES.get(key, key): value for key, value in content.items()}
    sources = settings.get("sources", [])
    for source in sources if isinstance(sources, list) else []:
        if isinstance(source, dict) and isinstance(source.get("url"), str):
            source["url"] = located(source["url"], str(path.absolute().parent))
    return {"sources": [], "shadows": [], "streams": defaults, **settings}
