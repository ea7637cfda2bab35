"""``python container_stand_in.py FOLDER run|rm|inspect|exec|info …``: what we ask of Podman.

It notes what it was asked to run and runs it as a process of this machine, in a session of its own
and with no other environment than a container would have. FOLDER has a program `vllm`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

WITH_VALUE = ("--name", "--volume", "--env", "--entrypoint")


def main(folder: Path, verb: str, *words: str) -> int:
    """Do as Podman does, as far as it is asked."""
    if verb == "info":
        return 0
    if verb == "run":
        return _run(folder, list(words))
    name = words[0] if verb == "exec" else words[-1]
    note = folder / f"{name}.json"
    if not note.exists():
        print(f"Error: no such container {name}", file=sys.stderr)
        return 1
    noted = json.loads(note.read_text("utf-8"))
    if verb == "inspect":
        asked = words[words.index("--format") + 1]
        print({"{{.State.Running}}": "true", "{{.Config.Image}}": noted["image"]}[asked])
    elif verb == "rm":
        with suppress(ProcessLookupError):
            os.kill(noted["pid"], signal.SIGKILL)
        note.unlink(missing_ok=True)
    elif verb == "exec":
        # A container sees its own processes only.
        request = json.loads(words[-1]) | {"among": [noted["pid"]]}
        return subprocess.call([sys.executable, "-I", "-S", "-c", words[-2], json.dumps(request)])
    return 0


def _run(folder: Path, words: list[str]) -> int:
    options, environ, at = {}, {"PATH": os.environ["PATH"]}, 0
    while words[at].startswith("--"):
        option, sign, value = words[at].partition("=")
        if not sign and option in WITH_VALUE:
            at += 1
            value = words[at]
        if option == "--env":
            key, given, text = value.partition("=")
            environ[key] = text if given else os.environ[key]
        options[option] = value
        at += 1
    image, *arguments = words[at:]
    program = folder / options["--entrypoint"]
    child = subprocess.Popen(
        [sys.executable, "-S", str(program), *arguments], env=environ, start_new_session=True
    )
    note = folder / f"{options['--name']}.json"
    noted = {"pid": child.pid, "image": image, "words": words, "names": sorted(environ)}
    draft = note.with_suffix(".draft")
    draft.write_text(json.dumps(noted), "utf-8")
    draft.replace(note)
    signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    code = child.wait()
    with suppress(FileNotFoundError):
        if json.loads(note.read_text("utf-8"))["pid"] == child.pid:
            note.unlink()
    return code


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), *sys.argv[2:]))
