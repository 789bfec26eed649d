"""Arrays out of zip archives that somebody else made: every size is looked at before anything is unpacked."""

from __future__ import annotations

import io
import math
import warnings
import zipfile

import numpy as np

LARGEST = 256 * 2**20
"""Bytes that a file, one member of an archive, or all its arrays together may have: networks here have thousandths of it."""
UNSUSPICIOUS = 16 * 2**20
"""Up to so many bytes a member may be packed as well as it likes ..."""
RATIO = 100
"""... and above, to no less than this fraction of its size: numbers do not pack so well."""
_PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def member(archive: zipfile.ZipFile, name: str, largest: int = LARGEST) -> bytes:
    """The contents of a member, of at most so many bytes.

    **Raises:** `ValueError` for a member that is too large, packed too well or in a rare way, or not of the size that the archive
    says; `KeyError` for one that is not there.
    """
    info = archive.getinfo(name)
    size = info.file_size
    if size > largest:
        raise ValueError(f"{name} has {size:,} bytes unpacked, at most {largest:,} are read")
    if size > UNSUSPICIOUS and size > RATIO * info.compress_size:
        raise ValueError(f"{name} has {size:,} bytes packed into {info.compress_size:,}, which no list of numbers has")
    if info.compress_type not in _PACKINGS:
        raise ValueError(f"{name} is packed in a way (method {info.compress_type}) that is not read")
    with archive.open(info) as file:
        data = file.read(size + 1)  # never more than the archive says, whatever is in it
    if len(data) != size:
        raise ValueError(f"{name} is not of the {size:,} bytes that the archive says")
    return data


def arrays(data: bytes, names: list[str]) -> dict[str, np.ndarray]:
    """Arrays of real numbers by name, from the bytes of NumPy's npz.

    **Raises:** `ValueError` or what `zipfile` raises for bytes that are no such file, `KeyError` for a name that is not there.
    """
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        left, found = LARGEST, {}
        for name in dict.fromkeys(names):
            contents = member(archive, f"{name}.npy", left)
            left -= len(contents)
            found[name] = array(contents, name)
    return found


def array(data: bytes, name: str) -> np.ndarray:
    """An array of real numbers, in double precision, from the bytes of NumPy's npy, whose header has to fit them.

    **Raises:** `ValueError` for anything else.
    """
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"array {name} has npy version {version}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of headers that Python 2 wrote
        shape, fortran, dtype = readers[version](file)
    if dtype.kind not in "fiu":
        raise ValueError(f"array {name} holds {dtype}, not real numbers")
    values = data[file.tell() :]
    if min(shape, default=0) < 0 or math.prod(shape) * dtype.itemsize != len(values):
        raise ValueError(f"array {name} of shape {shape} and {dtype} does not fit the {len(values):,} bytes of it")
    return np.frombuffer(values, dtype).reshape(shape, order="F" if fortran else "C").astype(np.float64)
