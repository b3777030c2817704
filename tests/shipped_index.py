"""`make shipped`: writes what the files of the shipped models say to the index that `lyapmap models` reads."""

from __future__ import annotations

import json
from typing import Any

from lyapmap.files import checkpoint, papers, zoo


def described() -> dict[str, dict[str, Any]]:
    """Facts of each shipped model, from its file."""
    loaded = {name: checkpoint.load(path) for name, path in zoo.shipped().items()}
    return {
        name: {
            "model": saved.model,
            "is_map": not papers.networks()[saved.model][1].no_map,
            "config": saved.config,
            "sha256": saved.sha256,
            "sample_states": list(saved.sample_states.shape),
            "training": saved.record,
        }
        for name, saved in loaded.items()
    }


if __name__ == "__main__":
    path = next(iter(zoo.shipped().values())).with_name(zoo.INDEX)
    path.write_text(
        "{\n" + ",\n".join(f"{json.dumps(name)}: {json.dumps(facts)}" for name, facts in described().items()) + "\n}\n"
    )
