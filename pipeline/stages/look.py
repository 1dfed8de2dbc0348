"""``look``: asks the address of the images which version lies there, for DVC, which cannot ask every address."""

from dataclasses import asdict

from pipeline.atomic import replacing, write_json
from pipeline.errors import UserError
from pipeline.params import Params
from pipeline.remote.addresses import is_url, local_path
from pipeline.remote.listing import listed
from pipeline.remote.place import Place
from pipeline.workspace import Workspace


def run(params: Params, workspace: Workspace) -> None:
    """Writes ``data/version.json``: the same bytes as long as the same lies there.

    Raises:
        UserError: the images lie on this machine, where DVC itself sees what changes; or as
            :func:`pipeline.remote.fetching.fetch`.
        BusyError: the address cannot be reached.
    """
    url = params.data.path
    if not is_url(url) or local_path(url):
        raise UserError(
            f"data.path: {url}: lies on this machine, where DVC sees what changes: take the stage `look` out of "
            "dvc.yaml, and let ingest depend on ${data.path} in the place of data/version.json"
        )
    version = listed(Place.open(url, "data.path")).told()
    with replacing(workspace.version) as (file,):
        write_json(file, asdict(version))
    print(f"look: {version}")
