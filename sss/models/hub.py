"""Models of the Hugging Face Hub, and folders that hold one."""

from __future__ import annotations

from pathlib import Path

from sss.errors import InputError


def find_checkpoint(repo_or_path: str | Path) -> Path:
    """The checkpoint that a file, a folder or a repository of the hub holds.

    Args:
        repo_or_path: A ``.safetensors`` file, a run folder, a folder with one such file, or a
            repository, ``OWNER/NAME``, which is fetched and kept in the hub's cache.

    Returns:
        The file, or the run folder.

    Raises:
        InputError: There is no such folder or repository, the hub is out of reach, or it is not
            clear which file is meant.
    """
    path = Path(repo_or_path).expanduser()
    return _only_checkpoint(path if path.exists() else _fetch(str(repo_or_path)))


def _fetch(repository: str) -> Path:
    """The folder of a repository of the Hugging Face Hub, in the hub's cache."""
    from huggingface_hub import snapshot_download

    try:
        return Path(
            snapshot_download(repository, allow_patterns=["*.safetensors", "*.onnx", "*.json"])
        )
    except Exception as error:  # the hub's library, HTTP and sockets have many kinds
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:160]
        raise InputError(
            f"'{repository}' is no folder here, and the Hugging Face Hub did not give it "
            f"({reason}); check the name and the connection, or give a folder"
        ) from error


def _only_checkpoint(path: Path) -> Path:
    """The checkpoint that a file, a run folder or a folder with one model means."""
    if path.is_file() or (path / "best.safetensors").is_file():
        return path
    found = sorted(path.glob("*.safetensors"))
    if len(found) == 1:
        return found[0]
    names = f" ({', '.join(file.name for file in found)})" if found else ""
    raise InputError(
        f"{path} holds {len(found)} .safetensors files{names}, expected one; give the file itself"
    )
