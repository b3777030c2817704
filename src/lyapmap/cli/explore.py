"""`lyapmap explore`: a local page to play with a map."""

from __future__ import annotations

from importlib.util import find_spec

from lyapmap.cli import show
from lyapmap.cli.command import From, Run, command
from lyapmap.core.errors import MissingExtraError


@command(
    group="look",
    out=False,
    source=From(trajectories=8),
    examples="""
lyapmap explore cycle-mnist-012-replay
lyapmap explore ikeda --port 8000 --no-browser
lyapmap explore run/last.pt --data mnist --classes 0,1,2
""",
)
def explore(run: Run, *, port: int = 0, browser: bool = True) -> int:
    """Open a local page to play with a map: start images, sequences, nudges, directions, a live spectrum.

    The page is served to this machine only, until Ctrl-C.

    Parameters
    ----------
    port : N, at least 0
        Port of the page; 0 takes any that is free.
    browser
        Open the page in the browser.
    """
    for package in ("starlette", "uvicorn"):
        if find_spec(package) is None:
            raise MissingExtraError(package, "explore", "the explorer")
    import secrets
    import threading
    import webbrowser

    from lyapmap.explore.server import HOST, opened, serve
    from lyapmap.explore.session import Session

    made = opened(port)
    token = secrets.token_urlsafe(16)
    address = f"http://{HOST}:{made.getsockname()[1]}/?token={token}"
    session = Session(run.source.map, run.source.x0, name=run.source.name, seed=run.seed)
    if run.as_json:
        show.print_json({"address": address})
    else:
        print(f"{address}\nCtrl-C ends it", flush=True)
    if browser:
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    serve(session, made, token)
    return 0
