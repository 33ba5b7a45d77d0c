"""How the content of each DAQ format begins. Imports no decoder: a file's format is known before its kernels load."""

from __future__ import annotations

FCIO = (-1000000001).to_bytes(4, "little", signed=True) + b"FlashCamV1"
LLAMA_VERSIONS = {b"LArU": 1, b"LArI": 2}
COMPASS_MARK = 0xCAE0
ORCA_XML = (b"<?xm", b"mx?<")  # as text, and in words that were swapped as a whole


def is_fcio(head: bytes) -> bool:
    """Whether a file's first bytes are the FCIO marker."""
    return head.startswith(FCIO)


def is_llama(head: bytes) -> bool:
    """Whether a file's first bytes are the magic number of llamaDAQ."""
    return head[:4] in LLAMA_VERSIONS


def is_orca(head: bytes) -> bool:
    """Whether a file's first bytes are an ORCA header packet, of either byte order."""
    return head.startswith(ORCA_XML[0]) or (head[8:12] in ORCA_XML and orca_byte_order(head) is not None)


def orca_byte_order(head: bytes) -> str | None:
    """Return "<" or ">", in which the header packet's length agrees best with that of its text; None for neither."""
    possible = []
    for mark, name in (("<", "little"), (">", "big")):
        first, n_xml = (int.from_bytes(head[at : at + 4], name) for at in (0, 4))  # type: ignore[arg-type]
        if first >> 18 == 0:
            excess = (first - 2 - (n_xml + 3) // 4) & 0x3FFFF  # words of padding
            possible.append((excess > 1, mark == ">", mark))
    return min(possible)[2] if possible else None


def compass_word(head: bytes) -> int | None:
    """Return the header word that a CoMPASS file starts with, or None."""
    word = int.from_bytes(head[:2], "little")
    return word if word & 0xFFF0 == COMPASS_MARK else None


def is_compass(head: bytes) -> bool:
    """Whether a file's first bytes are a CoMPASS header word, or records without one, which only a decoder can tell."""
    if compass_word(head) is not None:
        return True
    from pygama_core.daq.compass.layout import are_records

    return are_records(head)
