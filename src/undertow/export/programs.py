"""A policy, and one whole step with it, as StableHLO that `jax.export` reads back."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.mlir import ir, passmanager
from jax.extend.mlir.dialects import stablehlo

from undertow._checks import UndertowError, import_extra, require
from undertow.core.policy import AbstractPolicy
from undertow.export.portable import OLDEST_JAX
from undertow.export.surroundings import Surroundings
from undertow.store.machine import package_version

PLATFORMS = ("cpu", "cuda", "tpu")
BATCH = "n"
_log = logging.getLogger(__name__)


class Program(NamedTuple):
    """A serialised program, what `policy.json` says of it, and the program as it is read back."""

    data: bytes
    about: dict[str, Any]
    call: Callable[..., Any]


def require_flatbuffers() -> None:
    """Raise `UndertowError` without what `jax.export` serialises with."""
    import_extra("StableHLO (--no-programs leaves it out) needs flatbuffers", "export", "flatbuffers")


def policy_program(policy: AbstractPolicy, around: Surroundings, precision: str) -> Program:
    """The policy alone, of any number of faces or samples."""
    (batch,) = jax.export.symbolic_shape(BATCH)
    if around.key == "scheme":
        function = lambda stencils: policy((stencils,))[0]
        names, shape = ("stencils", "weights"), (2, batch, *around.observation)
    else:
        function = jax.vmap(lambda observation: policy(observation))
        names, shape = ("observation", "action"), (batch, *around.observation)
    return _export(function, [(names[0], shape)], names[1:], precision)


def step_program(policy: AbstractPolicy, around: Surroundings, precision: str) -> Program:
    """One whole step of the scheme, or of the system under control, of any number of samples."""
    (batch,) = jax.export.symbolic_shape(BATCH)
    axes = tuple(None if shape is None else 0 for shape in around.inputs.values())
    inputs = [(name, () if shape is None else (batch, *shape)) for name, shape in around.inputs.items()]
    return _export(jax.vmap(around.step(policy), in_axes=axes), inputs, tuple(around.outputs), precision)


def _export(
    function: Callable[..., Any], inputs: Sequence[tuple[str, tuple]], outputs: Sequence[str], precision: str
) -> Program:
    arguments = [jax.ShapeDtypeStruct(shape, jnp.dtype(precision)) for _, shape in inputs]
    exported = _for_platforms(jax.jit(function), arguments)
    given, made = exported.in_avals, exported.out_avals
    require(
        all(each.dtype == jnp.dtype(precision) for each in made),
        f"the exported program gives {', '.join(str(each.dtype) for each in made)}, {precision} was expected",
    )
    about = {
        "inputs": [_signature(name, each) for (name, _), each in zip(inputs, given, strict=True)],
        "outputs": [_signature(name, each) for name, each in zip(outputs, made, strict=True)],
        "any_size": BATCH,
        "platforms": list(exported.platforms),
        "calling_convention": exported.calling_convention_version,
        "written_by": {"jax": package_version("jax"), "jaxlib": package_version("jaxlib")},
        "read_by": {"jax": f">={OLDEST_JAX}"},
        "call": f"jax.export.deserialize(bytearray(data)).call({', '.join(name for name, _ in inputs)})",
    }
    bare = dataclasses.replace(exported, mlir_module_serialized=_without_places(exported.mlir_module_serialized))
    data = bytes(bare.serialize())
    return Program(data, about, jax.export.deserialize(bytearray(data)).call)


def _for_platforms(function: Any, arguments: Sequence[Any]) -> jax.export.Exported:
    """The program for all platforms, or for those that have every operation in it."""
    try:
        return jax.export.export(function, platforms=PLATFORMS)(*arguments)
    except (NotImplementedError, ValueError) as error:
        _log.info("not for all platforms: %s", error)
        reason = error
    for platforms in (PLATFORMS[:2], PLATFORMS[:1]):
        try:
            return jax.export.export(function, platforms=platforms)(*arguments)
        except (NotImplementedError, ValueError) as error:
            reason = error
    raise UndertowError(
        f"the program cannot be written as StableHLO ({' '.join(str(reason).split())[:200]}); leave it out with --no-programs"
    )


def _without_places(module: bytes) -> bytes:
    """The same program without the files and lines that its operations come from: they name folders of whoever exports."""
    with ir.Context() as context, ir.Location.unknown(context):
        stablehlo.register_dialect(context)
        parsed = stablehlo.deserialize_portable_artifact(context, module)
        passmanager.PassManager.parse("builtin.module(strip-debuginfo)").run(parsed.operation)
        oldest = stablehlo.get_version_from_compatibility_requirement(
            stablehlo.StablehloCompatibilityRequirement.WEEK_12
        )
        return stablehlo.serialize_portable_artifact(parsed, oldest)


def _signature(name: str, value: Any) -> dict[str, Any]:
    return {
        "name": name,
        "shape": [n if isinstance(n, int) else str(n) for n in value.shape],
        "dtype": str(value.dtype),
    }
