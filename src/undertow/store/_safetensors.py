"""The safetensors container: named arrays and string metadata in one flat file, no library needed.

    8 bytes    length n of the header, unsigned, little-endian
    n bytes    header: JSON {"__metadata__": {str: str}, name: {"dtype", "shape", "data_offsets": [begin, end]}, ...}
    the rest   the arrays' bytes, little-endian, C order, offsets counted from here, without gaps

The format is public and read by many tools (https://github.com/huggingface/safetensors), runs no code when it is read,
and is simple enough to need no dependency.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp  # for the names of the dtypes that numpy lacks
import numpy as np

_CODES: dict[str, str] = {
    "bool": "BOOL",
    "int8": "I8", "int16": "I16", "int32": "I32", "int64": "I64",
    "uint8": "U8", "uint16": "U16", "uint32": "U32", "uint64": "U64",
    "float16": "F16", "float32": "F32", "float64": "F64",
    "bfloat16": "BF16", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
    "complex64": "C64",
}  # fmt: skip
_DTYPES = {code: jnp.dtype(name) for name, code in _CODES.items()}


def supports(dtype: np.dtype) -> bool:
    """Whether the format has a name for `dtype`."""
    return dtype.name in _CODES


def encode(tensors: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
    """The file's bytes. The metadata stand first in the header, in the order given."""
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    blocks, end = [], 0
    # Widest first, so that every array begins at a multiple of its item size: other readers map them in place.
    for name, array in sorted(tensors.items(), key=lambda item: -item[1].dtype.itemsize):
        block = array.tobytes()
        begin, end = end, end + len(block)
        header[name] = {"dtype": _CODES[array.dtype.name], "shape": list(array.shape), "data_offsets": [begin, end]}
        blocks.append(block)
    text = json.dumps(header, separators=(",", ":"), allow_nan=False).encode("ascii")
    text += b" " * (-len(text) % 8)
    return b"".join([struct.pack("<Q", len(text)), text, *blocks])


def decode(data: bytes) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The arrays (views into `data`) and the metadata. Raises `ValueError` saying what is wrong with the bytes."""
    header, metadata, length = _header(data)
    payload = memoryview(data)[length:]
    tensors, expected = {}, 0
    for name, entry in sorted(header.items(), key=lambda item: tuple(item[1]["data_offsets"])):
        dtype, shape, (begin, end) = _DTYPES[entry["dtype"]], tuple(entry["shape"]), entry["data_offsets"]
        if begin != expected or end - begin != math.prod(shape) * dtype.itemsize or end > len(payload):
            raise ValueError(f"the bytes of {name!r} are not all there")
        tensors[name] = np.frombuffer(payload[begin:end], dtype).reshape(shape)
        expected = end
    if expected != len(payload):
        raise ValueError("there are more bytes than the header tells of")
    return tensors, metadata


def header_length(data: bytes) -> int:
    """The length of the header, out of the first eight bytes of a file. Raises as `decode`."""
    if len(data) < 8:
        raise ValueError("the header is cut short")
    return int(struct.unpack_from("<Q", data)[0])


def whole_length(data: bytes) -> int:
    """The length of a file, out of its header and what stands before. Raises as `decode`."""
    header, _, length = _header(data)
    return length + max((entry["data_offsets"][1] for entry in header.values()), default=0)


def _header(data: bytes) -> tuple[dict[str, dict[str, Any]], dict[str, str], int]:
    """The description of every tensor, the metadata, and where the tensors begin."""
    length = header_length(data)
    if length > len(data) - 8:
        raise ValueError("the header is cut short")
    header = json.loads(data[8 : 8 + length].decode("utf-8"))  # both errors are ValueErrors
    if not isinstance(header, dict):
        raise ValueError("the header is not a table")
    metadata = header.pop("__metadata__", {})
    if not (isinstance(metadata, dict) and all(isinstance(each, str) for each in metadata.values())):
        raise ValueError("the metadata are not a table of words")
    for name, entry in header.items():
        if not _is_entry(entry):
            raise ValueError(f"{name!r} is not described as in a safetensors file")
    return header, metadata, 8 + length


def _is_entry(entry: object) -> bool:
    """Whether a tensor is described by a known type, a shape and two offsets."""
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= entry.keys():
        return False
    shape, offsets = entry["shape"], entry["data_offsets"]
    whole = all(
        isinstance(each, list) and all(type(number) is int and 0 <= number < 2**62 for number in each)
        for each in (shape, offsets)
    )
    return (
        whole
        and len(offsets) == 2
        and len(shape) <= 32
        and isinstance(entry["dtype"], str)
        and entry["dtype"] in _DTYPES
    )
