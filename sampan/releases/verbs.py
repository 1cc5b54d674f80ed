"""`sampan models …`: fetches, lists, verifies, removes and bundles releases."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn

import msgspec
import typer

from sampan import config
from sampan.config.verbs import ConfigOption, JsonOption, as_options, load, print_table
from sampan.releases import bundle as bundles
from sampan.releases import changing, standing
from sampan.releases.choice import Wanted
from sampan.releases.fetch import Fetcher
from sampan.releases.hub import Hub, HuggingFace, ModelScope
from sampan.releases.install import Refused, in_words, read_key
from sampan.releases.names import ReleaseError, check_name
from sampan.releases.orders import BundleOrders, FetchOrders, JobsOption
from sampan.releases.progress import watching
from sampan.releases.signing import KEY_FILE, house_signer, read_signer
from sampan.releases.store import Release, Store
from sampan.releases.wheels import collect, find_source
from sampan.releases.wire import Patience, Wire
from sampan.storage.db import Database, is_there
from sampan.storage.releases import Releases

models_cli = typer.Typer(no_args_is_help=True, help="Fetches, lists, verifies and bundles models.")

NameArgument = Annotated[str, typer.Argument(help="Model, OWNER/NAME.")]
RevisionOption = Annotated[str, typer.Option(help="Which revision of it, if there are several.")]
for _verb in (changing.promote, changing.rollback, changing.history):
    models_cli.command()(_verb)
# Handed on to another program, with all its options.
_HANDED_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}


def _store(path: Path | None) -> Store:
    return Store(Path(load(path).server.data))


@models_cli.command("fetch")
@as_options(FetchOrders)
def fetch(orders: FetchOrders) -> None:
    """Fetches a model, pinned by its revision and verified; the same command goes on with what is half here."""
    loaded = load(orders.config)
    wanted = Wanted(tuple(orders.include), tuple(orders.exclude), orders.allow_pickle)
    check_name(orders.name)
    try:
        with watching(orders.as_json) as watch:
            wire = Wire(threading.Event(), Patience(), say=watch.say, egress=config.Egress(loaded.egress.hosts))
            hub = _hub(orders.source, loaded.releases, wire, os.environ)
            fetcher = Fetcher(Store(Path(loaded.server.data)), wire, watch, orders.jobs)
            if hub is None:
                release = fetcher.fetch_folder(Path(orders.source), orders.name, orders.revision, wanted)
            else:
                release = fetcher.fetch(hub, orders.name, orders.revision, wanted)
    except KeyboardInterrupt:
        print("sampan: stopped; the same command goes on where it was", file=sys.stderr)
        raise typer.Exit(130) from None
    if orders.as_json:
        _print_json(event="whole", **_as_json(release, ""))
        return
    licence = f", licence {release.facts.licence}" if release.facts.licence else ""
    files = len(release.facts.files)
    print(f"{release.name} {release.revision} is here: {files} files, {in_words(release.size)}{licence}")


def _hub(source: str, settings: config.ReleaseSettings, wire: Wire, environ: Mapping[str, str]) -> Hub | None:
    """The hub that `--from` names; None for a folder."""
    if source == "huggingface":
        return HuggingFace(wire, settings.huggingface, environ.get("HF_TOKEN", ""))
    if source == "modelscope":
        return ModelScope(wire, settings.modelscope, environ.get("MODELSCOPE_API_TOKEN", ""))
    return None


@models_cli.command("list")
def list_verb(path: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Lists the models that are here, and which engine of the configuration uses which."""
    loaded = load(path)
    store = Store(Path(loaded.server.data))
    rows = []
    for release in store.list():
        used = ", ".join(users(loaded, store, release))
        if as_json:
            _print_json(**_as_json(release, used))
            continue
        state = _day(release.facts.fetched) if release.facts.whole else "not whole yet: fetch it again"
        row = (release.name, release.revision, in_words(release.size), release.facts.source, release.facts.licence)
        rows.append((*row, state, used))
    if not as_json:
        columns = ("name", "revision", "size", "from", "licence", "fetched", "used by")
        print_table(columns, rows, whole=("name", "revision"), spare=("licence", "from", "size"))


def users(loaded: config.Config, store: Store, release: Release) -> list[str]:
    """The engines of a configuration that would start with this release, or be rolled back to it. Reads only."""
    data = Path(loaded.server.data)
    url = loaded.storage.database
    releases = Releases(Database(data, url), time.time) if is_there(data, url) else None
    engines = loaded.engines
    pin = (lambda name: releases.pinned(name, engines[name].revision)) if releases else (lambda name: None)
    return standing.users(engines, store, release, pin)


@models_cli.command("verify")
def verify(
    name: Annotated[str, typer.Argument(help="Model, OWNER/NAME. Default: all.")] = "",
    revision: RevisionOption = "",
    jobs: JobsOption = 4,
    path: ConfigOption = None,
) -> None:
    """Reads every file again and compares it with what was fetched; status 1 where one is damaged."""
    store = _store(path)
    releases = [store.find(name, revision)] if name else [each for each in store.list() if each.facts.whole]
    bad = []
    for release in releases:
        with watching(False) as watch:
            watch.plan(f"{release.name} {release.revision[:12]}", len(release.facts.files), release.size)
            damages = store.verify(release, jobs, watch.advance)
        for damage in damages:
            print(f"{release.name} {release.revision}: {damage.path} {damage.what}")
        if damages:
            bad.append(f"`sampan models fetch {release.name} --revision {release.revision}`")
        else:
            print(f"{release.name} {release.revision}: {len(release.facts.files)} files are as they were fetched")
    if bad:
        raise ReleaseError(f"Something is damaged. {' and '.join(bad)} mends it, with --from as it came.")


@models_cli.command("remove")
def remove(
    name: NameArgument,
    revision: RevisionOption = "",
    force: Annotated[bool, typer.Option("--force", help="Even if an engine of the configuration uses it.")] = False,
    path: ConfigOption = None,
) -> None:
    """Takes a release off the disk."""
    loaded = load(path)
    store = Store(Path(loaded.server.data))
    found = [each for each in store.list() if each.name == check_name(name)]
    chosen = [each for each in found if each.revision.startswith(revision)]
    if len(chosen) != 1:
        known = ", ".join(each.revision for each in found)
        raise ReleaseError(f"--revision has to say which one. Here are: {known}" if found else f"{name} is not here")
    used = users(loaded, store, chosen[0])
    if used and not force:
        raise ReleaseError(f"{name} is used by the engine {', '.join(used)}. --force removes it all the same.")
    print(f"{name} {chosen[0].revision} is removed: {in_words(store.remove(chosen[0]))}")


@models_cli.command("bundle")
@as_options(BundleOrders)
def bundle(orders: BundleOrders) -> None:
    """Makes one signed file that installs on a machine without a network."""
    data = Path(load(orders.config).server.data)
    store = Store(data)
    pairs = [each.partition("@") for each in orders.names]
    releases = [store.find(name, revision) for name, _, revision in pairs]
    if not releases and not orders.wheels:
        raise ReleaseError("Name a model, or say --wheels, or both: the bundle would be empty.")
    if orders.qwen and not orders.wheels:
        raise ReleaseError("--qwen adds to --wheels: say both.")
    signer = read_signer(orders.key) if orders.key else house_signer(data)
    with (
        tempfile.TemporaryDirectory(dir=_folder_of(orders.into), prefix=".wheels-") as scratch,
        watching(False) as watch,
    ):
        wheels: list[Path] = []
        if orders.wheels:
            watch.say("Collecting wheels ...")
            wheels = collect(orders.source or find_source(), Path(scratch), orders.qwen, orders.torch)
        made = bundles.make(bundles.list_items(releases, wheels), releases, orders.into, signer, watch)
    print(f"{made.file}: {in_words(made.size)}")
    print(f"Public key: {made.public}")
    print(f"install.py: sha256 {made.script}")
    print(
        "On the other machine, which should get the key, and the sha256 of install.py, on another way than the bundle:"
    )
    print(f"  tar -xOf {made.file.name} install.py > install.py && sha256sum install.py")
    print(f"  python3 install.py {made.file.name} --into sampan --trust {made.public}")


def _folder_of(file: Path) -> Path:
    folder = file.absolute().parent
    if not folder.is_dir():
        raise ReleaseError(f"There is no folder {folder}")
    return folder


@models_cli.command("install")
def install_verb(
    file: Annotated[Path, typer.Argument(help="The bundle.")],
    trust: Annotated[str, typer.Option(help="Public key of who made it, or a file with it. Default: our own.")] = "",
    path: ConfigOption = None,
) -> None:
    """Takes the models of a bundle into a house that runs Sampan already."""
    data = Path(load(path).server.data)
    if not trust and not (data / KEY_FILE).is_file():
        raise ReleaseError("--trust has to say whose bundle this is: the public key that `models bundle` printed.")
    try:
        trusted = read_key(trust) if trust else house_signer(data).public
    except Refused as error:
        raise ReleaseError(str(error)) from None
    with watching(False) as watch:
        installed = bundles.install_models(file, Store(data), trusted, watch)
    for release in installed:
        print(f"{release.name} {release.revision} is here: {in_words(release.size)}")


@models_cli.command("tiny", context_settings=_HANDED_ON)
def tiny(context: typer.Context) -> None:
    """Makes tiny checkpoints with random weights, to try the engines with."""
    _become("sampan.engines.tiny", context.args)


@models_cli.command("export", context_settings=_HANDED_ON)
def export(context: typer.Context) -> None:
    """Exports a model to ONNX or OpenVINO, as far as the libraries can."""
    _become("sampan.engines.export", context.args)


def _become(module: str, words: list[str]) -> NoReturn:
    """Nobody else pays for loading what that program needs."""
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", module, *words])


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M")


def _as_json(release: Release, used: str) -> dict[str, Any]:
    facts: dict[str, Any] = msgspec.to_builtins(release.facts)
    return facts | {
        "files": len(release.facts.files),
        "bytes": release.size,
        "folder": str(release.folder),
        "used": used,
    }


def _print_json(**facts: Any) -> None:
    print(msgspec.json.encode(facts).decode(), flush=True)
