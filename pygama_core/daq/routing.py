"""Which LH5 table of which raw file each decoded block belongs to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pygama_core.daq.daqfile import Block, Key
from pygama_core.daq.proc_spec import ProcSpec
from pygama_core.daq.routing_spec import (
    ANY,
    OutputSpec,
    Rule,
    describe_key,
    fill,
    split_stream,
)
from pygama_core.errors import ConfigError
from pygama_core.lh5.types import Array, Scalar, Table

LISTENER = "ORFlashCamListenerModel"
MAIN = ""  # the raw file itself


def channel_table(rawid: int) -> str:
    """Return the name of a channel's table in a raw file."""
    return f"ch{rawid:07d}/raw"


@dataclass(frozen=True)
class Target:
    """Where a block goes: file (MAIN for the raw file itself), table, whether other keys go there as well."""

    file: str
    table: str
    is_shared: bool = False
    proc_spec: ProcSpec | None = None


@dataclass(eq=False)
class Router:
    """Default routing: channels to ``ch<rawid>/raw``, everything else below ``extra``.

    Rows of a table have one shape. If a channel's trace length changes within a file (several configurations), rows of
    another than its first length go to ``extra/<n>_samples/ch<rawid>/raw``.

    Parameters
    ----------
    names : detector names by rawid; each gets an alias ``raw/<name>`` of its table
    """

    names: Mapping[int, str] = field(default_factory=dict)
    _widths: dict[int, int] = field(default_factory=dict)

    def place(self, block: Block) -> str:
        """Return the name of the block's table."""
        if isinstance(block.key, str):
            return f"extra/{block.key}"
        width = _width(block)
        if width == self._widths.setdefault(block.key, width):
            return channel_table(block.key)
        return f"extra/{width}_samples/{channel_table(block.key)}"

    def target(self, block: Block) -> Target | None:
        """Return where a block goes."""
        return Target(MAIN, self.place(block))

    def aliases(self) -> Iterator[tuple[str, str]]:
        """Yield (table, alias) of the named channels that were placed, by rawid."""
        for rawid in sorted(self._widths):
            if rawid in self.names:
                yield channel_table(rawid), f"raw/{self.names[rawid]}"

    def links(self) -> Iterator[tuple[Target, str]]:
        """Yield (target, alias) of the same."""
        for table, alias in self.aliases():
            yield Target(MAIN, table), alias

    def unmatched(self) -> list[str]:
        """Return what was asked for and is not in the file: nothing."""
        return []


# decoder of the field's package, by format and name of our record
_DECODERS = {
    "orca": {
        **dict.fromkeys(("FCConfig", "FSPConfig"), "ORFCIOConfigDecoder"),
        **dict.fromkeys(("FCStatus", "FSPStatus"), "ORFCIOStatusDecoder"),
        "FCEvent": "ORFCIOEventDecoder",
        "FCEventHeader": "ORFCIOEventHeaderDecoder",
        "OrcaHeader": "OrcaHeaderDecoder",
    }
}
# decoders that the field's package gives one table for each key, named <decoder>_<key>, unless an entry lists the keys
ONE_TABLE_PER_KEY = ("LLAMAEventDecoder", "ORSIS3302DecoderForEnergy")
ORCA_FCIO = tuple(f"ORFCIO{what}Decoder" for what in ("Config", "Event", "EventHeader", "Status"))


def decoder_name(block: Block, format_name: str) -> str:
    """Return the name a block's decoder has in output specifications."""
    if format_name == "orca" and block.decoder == "FSPEvent":
        return ORCA_FCIO[2] if str(block.key).endswith("evt_hdr") else ORCA_FCIO[1]
    name = _DECODERS.get(format_name, {}).get(block.decoder, block.decoder)
    return name if "Decoder" in name else f"{name}Decoder"


@dataclass(eq=False)
class SpecRouter:
    """Routing by an output specification.

    An entry that lists a key goes before one with ``*``; of several that list it, the last counts. The decoder ``*``
    stands for those without an entry of their own.

    Parameters
    ----------
    spec : the specification
    format_name : name of the DAQ format
    names : detector names by rawid; a channel with a table of its own gets an alias ``raw/<name>``
    """

    spec: OutputSpec
    format_name: str
    names: Mapping[int, str] = field(default_factory=dict)
    _chosen: dict[tuple[str, Key], Rule | None] = field(default_factory=dict)
    _matched: set[tuple[int, str | tuple[int, int]]] = field(default_factory=set)
    _seen: dict[str, set[str]] = field(default_factory=dict)
    _widths: dict[tuple[str, str], int] = field(default_factory=dict)
    _own: dict[int, Target] = field(default_factory=dict)
    _listeners: Listeners | None = None

    def target(self, block: Block) -> Target | None:
        """Return where a block goes; None if no entry takes it."""
        if block.decoder == "OrcaHeader" and isinstance(block.table, Scalar) and self._listeners is None:
            self._listeners = Listeners.of_header(str(block.table.value))
        decoder = decoder_name(block, self.format_name)
        key = _listed_key(block)
        self._seen.setdefault(decoder, set()).add(str(key))
        rule = self._rule(decoder, key)
        if rule is None:
            return None
        file, table = self._names(rule, decoder, block.key)
        own = Target(file, table, not rule.is_keyed, rule.proc_spec)
        width = _width(block)
        if width != self._widths.setdefault((file, table), width):
            return Target(file, f"extra/{width}_samples/{table}", own.is_shared, own.proc_spec)
        if isinstance(block.key, int) and rule.is_keyed:
            self._own[block.key] = own
        return own

    def links(self) -> Iterator[tuple[Target, str]]:
        """Yield (target, alias) of the named channels that have a table of their own, by rawid."""
        for rawid in sorted(self._own):
            if rawid in self.names:
                yield self._own[rawid], f"raw/{self.names[rawid]}"

    def unmatched(self) -> list[str]:
        """Describe the listed keys that a decoder with data in the file does not have."""
        missing = []
        for i, rule in enumerate(self.spec.rules):
            if rule.decoder not in self._seen:
                continue
            for item in rule.keys.listed:
                if (i, item) not in self._matched:
                    keys = sorted(self._seen[rule.decoder])
                    shown = ", ".join(keys[:12]) + (f", ... ({len(keys)} keys)" if len(keys) > 12 else "")
                    missing.append(
                        f"output specification: {rule.where}: key {describe_key(item)} matches nothing in the file; "
                        f"{rule.decoder} has {shown}"
                    )
        return missing

    def _rule(self, decoder: str, key: Key) -> Rule | None:
        if (decoder, key) not in self._chosen:
            self._chosen[decoder, key] = self._choose(decoder, key)
        return self._chosen[decoder, key]

    def _choose(self, decoder: str, key: Key) -> Rule | None:
        rules = list(enumerate(self.spec.rules))
        named = any(rule.decoder == decoder for _, rule in rules)
        mine = [(i, rule) for i, rule in rules if rule.decoder == (decoder if named else ANY)]
        chosen: Rule | None = None
        for i, rule in mine:
            if (item := rule.keys.match(key)) is not None:
                self._matched.add((i, item))
                chosen = rule
        if chosen is not None and not chosen.can_name(key):
            raise ConfigError(
                f"output specification: {chosen.where}: key {key!r} is no number, but the name formats it as one; "
                f"write {{key}}"
            )
        wild = (rule for _, rule in mine if rule.keys.is_wild and rule.can_name(key))
        return chosen or next(wild, None)

    def _names(self, rule: Rule, decoder: str, key: Key) -> tuple[str, str]:
        """Return file and table of a key."""
        base = decoder.removesuffix("Decoder")
        suffix = "" if rule.is_keyed or not rule.keys.is_wild else self._suffix(decoder, key)
        values = {**self.spec.keywords, "key": key}
        name = fill(rule.name, **{**values, "name": base}) + suffix
        values["name"] = name
        file, group = split_stream(fill(rule.out_stream, **values))
        table = name if rule.out_name is None else fill(rule.out_name, **values)
        if rule.out_name is not None and "{name" not in rule.out_name:
            table += suffix
        return file, f"{group}/{table}".strip("/")

    def _suffix(self, decoder: str, key: Key) -> str:
        """Return what tells tables of one decoder apart that hold different columns."""
        if decoder in ONE_TABLE_PER_KEY:
            return f"_{key}"
        if decoder not in ORCA_FCIO or self._listeners is None:
            return ""
        return self._listeners.suffix(decoder, key)


@dataclass(frozen=True)
class Listeners:
    """The FlashCam listeners of an ORCA run: how many, and how many with a software trigger."""

    n_streams: int
    n_triggers: int

    @classmethod
    def of_header(cls, text: str) -> Listeners:
        """Count those that are read out, by the header's property list as JSON."""
        plist = json.loads(text)
        read_out = set(_read_out(plist.get("ReadoutDescription")))
        info = plist.get("ObjectInfo")
        objects = info.get("AuxHw") if isinstance(info, dict) else None
        listeners = [o for o in _dicts(objects) if o.get("Class Name") == LISTENER and o.get("uniqueID") in read_out]
        return cls(len(listeners), sum(bool(o.get("fspEnabled")) for o in listeners))

    def suffix(self, decoder: str, key: Key) -> str:
        """Return ``_<key>`` for a table of one key, ``_<number>`` for one of several keys, as the field's package."""
        is_trigger = str(key).startswith("swtid")
        if decoder in (ORCA_FCIO[1], ORCA_FCIO[3]) and not self.n_triggers:
            return ""
        if decoder == ORCA_FCIO[1] and not is_trigger:
            return "_0"
        if decoder == ORCA_FCIO[3]:
            return "_1" if is_trigger else "_0"
        n_keys = self.n_triggers if is_trigger else self.n_streams
        return f"_{key}" if n_keys == 1 else f"_{int(is_trigger)}"


def _read_out(nodes: Any) -> Iterator[Any]:
    """Yield the numbers of the listeners in ORCA's tree of what reads what."""
    for node in _dicts(nodes):
        if node.get("name") == LISTENER:
            yield node.get("uniqueID")
        else:
            yield from _read_out(node.get("children"))


def _dicts(values: Any) -> list[dict[str, Any]]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []


def _listed_key(block: Block) -> Key:
    """Return the key as output specifications list it: without the number of a repeated configuration."""
    if isinstance(block.key, str) and not isinstance(block.table, Table):
        head, underscore, number = block.key.rpartition("_")
        if underscore and number.isdecimal() and head.endswith(("/config", "OrcaHeader")):
            return head
    return block.key


def _width(block: Block) -> int:
    """Return the samples of the block's traces; 0 for a table without waveforms."""
    waveform = block.table.columns.get("waveform") if isinstance(block.table, Table) else None
    values = waveform.columns["values"] if isinstance(waveform, Table) else None
    return int(values.values.shape[1]) if isinstance(values, Array) else 0
