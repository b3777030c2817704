"""`lyapmap models`: the trained networks that come with the package."""

from __future__ import annotations

from typing import Annotated

import typer

from lyapmap.cli import common

EPILOG = """Examples:

lyapmap models

lyapmap models cycle-mnist-012

lyapmap models --json"""


@common.command
def models(
    name: Annotated[str | None, typer.Argument(help="Show the card of one model.")] = None,
    as_json: common.JsonOption = False,
) -> None:
    """List the shipped models, or show the card of one."""
    from lyapmap.cli.source import require_torch

    require_torch("reading a model")
    from lyapmap.files import checkpoint, papers, zoo

    if name is not None and name not in zoo.shipped():
        zoo.load_model(name)  # raises for what is neither shipped nor a file
        raise_for_file(name)
    chosen = {name: zoo.shipped()[name]} if name else zoo.shipped()
    loaded = {key: checkpoint.load(path) for key, path in chosen.items()}
    networks = {name: network for name, (_, network) in papers.networks().items()}
    if as_json:
        common.echo_json(
            {
                key: {
                    "model": c.model,
                    "is_map": not networks[c.model].no_map,
                    "config": c.config,
                    "sha256": c.sha256,
                    "sample_states": list(c.sample_states.shape),
                    "training": c.record,
                }
                for key, c in loaded.items()
            }
        )
    elif name:
        typer.echo(zoo.card(name).rstrip())
    else:
        for key, c in loaded.items():
            trained = c.training.get("settings", {}).get("data", "?")
            size = "x".join(map(str, c.sample_states.shape[1:]))
            words = f"{c.model} model, states {size}, trained on {trained}, {c.training.get('epoch')} epochs"
            network = networks[c.model]
            if network.from_noise:
                shape = "x".join(str(c.config[key]) for key in ("channels", "image_size", "image_size"))
                words = words.replace(f"states {size}", f"images {shape}")
            elif network.no_map:
                words = words.replace("model, states", "of images")
            words += f"; no map, for {network.serves}" if network.no_map else ""
            typer.echo(f"{key:<24} {words}")


def raise_for_file(name: str) -> None:
    """A file has no card; say what shows it instead."""
    from lyapmap.core.errors import LyapmapError

    raise LyapmapError(f"name: {name} is a file and has no card; lyapmap spectrum --model {name} measures it")
