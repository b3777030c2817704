"""Folders of diffusers and transformers: `config.json` with weights in `.safetensors`, read by those libraries.

Nothing is downloaded, and no code of the folder's is run.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lyapmap.backends import wrap
from lyapmap.core.errors import CheckpointError, LyapmapError, MissingExtraError, by_user
from lyapmap.core.map import TangentMap
from lyapmap.core.reading.bounded import content, json_in
from lyapmap.files.model import Saved, Wanted

CONFIG = "config.json"


def read(path: Path, label: str, wanted: Wanted) -> Saved:
    """The network of a folder."""
    config = json_in(content(path / CONFIG, CheckpointError), path / CONFIG, CheckpointError)
    if not isinstance(config, dict) or not {"_class_name", "model_type"} & config.keys():
        raise CheckpointError(f"{path.name}: {CONFIG} names no network of diffusers or transformers")
    weights = sorted(path.glob("*.safetensors"))
    if not weights:
        raise CheckpointError(
            f"{path.name}: holds no .safetensors; save it with safe_serialization=True, or give one of its .bin files "
            "with the class of the network as network"
        )
    digest = hashlib.sha256()
    for file in weights:
        digest.update(content(file, CheckpointError))
    diffuser = "_class_name" in config
    network = (_of_diffusers if diffuser else _of_transformers)(path, config)
    origin = {"model": label, "sha256": digest.hexdigest(), "map": type(network).__name__}
    if not diffuser:
        return Saved(HiddenStates(network), origin, config={"width": getattr(network.config, "hidden_size", None)})
    size = config.get("sample_size")
    sizes = tuple(size) if isinstance(size, list) else (size, size)
    known = isinstance(size, int | list) and isinstance(config.get("in_channels"), int)
    return Saved(network, origin, config={"state_shape": (config["in_channels"], *sizes)} if known else {})


def as_map(saved: Saved, **options: Any) -> TangentMap:
    """A network as a map: a denoiser of images, or the hidden states of a language model passed through it again."""
    label = saved.origin["model"]
    shape = options.pop("state_shape", None) or saved.config.get("state_shape")
    if shape is None:
        width = saved.config.get("width") or "width"
        hint = f"tokens and width, e.g. 16,{width}" if "width" in saved.config else "e.g. 3,32,32"
        raise LyapmapError(f"state_shape: {label} needs the shape of one state: {hint}")
    return wrap(saved.module, state_shape=shape, provenance=saved.origin, **options)


def record(path: Path) -> dict[str, Any]:
    """Nothing: these folders do not say how they were trained."""
    return {}


class HiddenStates(nn.Module):
    """A language model as a map of hidden states (tokens, width), given as embeddings and taken from the end."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.training = model.training

    def forward(self, x: Tensor, **inputs: Any) -> Tensor:
        hidden: Tensor = self.model(inputs_embeds=x, use_cache=False, **inputs).last_hidden_state
        return hidden


def _of_diffusers(path: Path, config: dict[str, Any]) -> nn.Module:
    try:
        import diffusers
    except ModuleNotFoundError:
        raise MissingExtraError("diffusers", "huggingface", f"reading {path.name}") from None
    kind: Any = getattr(diffusers, str(config["_class_name"]), None)
    if not issubclass(kind if isinstance(kind, type) else object, nn.Module):
        raise CheckpointError(f"{path.name}: {config['_class_name']} is no network of diffusers")
    with quietly(path):
        module: nn.Module = kind.from_pretrained(path, use_safetensors=True, local_files_only=True)
    return module.eval()


def _of_transformers(path: Path, config: dict[str, Any]) -> nn.Module:
    try:
        import transformers
    except ModuleNotFoundError:
        raise MissingExtraError("transformers", "huggingface", f"reading {path.name}") from None
    bars = transformers.utils.logging.is_progress_bar_enabled()
    with quietly(path), ExitStack() as afterwards:
        if bars:
            transformers.utils.logging.disable_progress_bar()
            afterwards.callback(transformers.utils.logging.enable_progress_bar)
        module: nn.Module = transformers.AutoModel.from_pretrained(
            path, use_safetensors=True, local_files_only=True, trust_remote_code=False, attn_implementation="eager"
        )
    return module.eval()


@contextmanager
def quietly(path: Path) -> Iterator[None]:
    """No bars and warnings of the library's; its errors in one line."""
    logging.disable(logging.WARNING)
    try:
        with torch.no_grad():
            yield
    except LyapmapError:
        raise
    except Exception as error:
        raise CheckpointError(f"{path.name}: cannot be loaded: {by_user(error)}") from None
    finally:
        logging.disable(logging.NOTSET)
