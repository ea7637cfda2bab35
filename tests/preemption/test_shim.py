from __future__ import annotations

import os
import subprocess
import venv
from pathlib import Path

import pytest

from autosre_lab.errors import ConfigError
from autosre_lab.preemption import hook_file
from autosre_lab.preemption.__main__ import main
from autosre_lab.preemption.shim import SWITCH, install_shim, shim_state, uninstall_shim
from autosre_lab.provision import provision
from autosre_lab.recipe import load_recipe

CONFIG = """
class SchedulerConfig:
    scheduler_cls = None
    def get_scheduler_cls(self):
        return "vLLM's own"
"""
WHICH = (
    "from vllm.config.scheduler import SchedulerConfig; "
    "print(getattr(SchedulerConfig().get_scheduler_cls(), '__name__', 'stock'))"
)


@pytest.fixture
def python(tmp_path: Path) -> Path:
    """A Python of its own, with something that looks like vLLM where the shim looks."""
    venv.create(tmp_path / "venv", with_pip=False)
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    package = site / "vllm" / "config"
    package.mkdir(parents=True)
    for name in ("vllm", "vllm/config"):
        (site / name / "__init__.py").touch()
    (package / "scheduler.py").write_text(CONFIG, encoding="utf-8")
    return tmp_path / "venv" / "bin" / "python"


def run(python: Path, code: str, **environ: str) -> str:
    return subprocess.run(
        [str(python), "-c", code],
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
    ).stdout.strip()


def test_the_hook_is_given_to_vllm_only_where_it_is_turned_on(python: Path) -> None:
    assert shim_state(python).state == "absent"
    assert install_shim(python).state == "armed"
    assert run(python, WHICH) == "stock"
    assert run(python, WHICH, **{SWITCH: "0"}) == "stock"
    assert run(python, WHICH, **{SWITCH: "1"}) == "make_scheduler"


def test_a_scheduler_of_the_command_line_stands(python: Path) -> None:
    install_shim(python)
    code = WHICH.replace(
        "SchedulerConfig()", "type('S', (SchedulerConfig,), {'scheduler_cls': 1})()"
    )
    assert run(python, code, **{SWITCH: "1"}) == "stock"


def test_it_reaches_the_process_that_schedules(python: Path, tmp_path: Path) -> None:
    install_shim(python)
    script = tmp_path / "spawn.py"
    script.write_text(
        "import multiprocessing\n"
        f"def child():\n    {WHICH}\n"
        "if __name__ == '__main__':\n"
        "    process = multiprocessing.get_context('spawn').Process(target=child)\n"
        "    process.start(); process.join()\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [str(python), str(script)],
        env={"PATH": os.environ["PATH"], SWITCH: "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=True,
    )
    assert done.stdout.strip() == "make_scheduler"


def test_it_imports_nothing_that_a_python_would_not(python: Path) -> None:
    modules = "import sys; print(sorted(sys.modules))"
    before = run(python, modules, **{SWITCH: "1"})
    install_shim(python)
    after = run(python, modules, **{SWITCH: "1"})
    assert set(eval(after)) - set(eval(before)) == {"autosre_preempt_shim"}
    assert run(python, modules) == before


def test_a_broken_hook_leaves_vllm_unharmed_and_says_why(python: Path, tmp_path: Path) -> None:
    folder = install_shim(python).folder
    (folder / "autosre_priority_preempt.py").write_text("1 / 0", encoding="utf-8")
    status = tmp_path / "status.json"
    environ = {SWITCH: "1", "AUTOSRE_PREEMPT_STATUS": str(status)}
    assert run(python, WHICH, **environ) == "stock"
    said = status.read_text(encoding="utf-8")
    assert "ZeroDivisionError" in said
    assert '"refused"' in said
    assert shim_state(python).state == "outdated"
    assert install_shim(python).state == "armed"


def test_a_vllm_that_is_another_is_left_alone(python: Path, tmp_path: Path) -> None:
    folder = install_shim(python).folder
    (folder / "vllm" / "config" / "scheduler.py").write_text("x = 1", encoding="utf-8")
    status = tmp_path / "status.json"
    environ = {SWITCH: "1", "AUTOSRE_PREEMPT_STATUS": str(status)}
    assert run(python, "import vllm.config.scheduler as m; print(m.x)", **environ) == "1"
    assert "SchedulerConfig" in status.read_text(encoding="utf-8")


def test_uninstalling_takes_away_exactly_what_was_written(python: Path) -> None:
    folder = shim_state(python).folder
    before = sorted(path.name for path in folder.iterdir())
    install_shim(python)
    assert len(uninstall_shim(python)) == 3
    assert sorted(path.name for path in folder.iterdir() if path.name != "__pycache__") == before
    assert uninstall_shim(python) == []


def test_the_command_tells_the_folder_and_misuse_is_2(
    python: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["install", "--python", str(python)]) == 0
    assert capsys.readouterr().out.startswith("armed: ")
    assert main(["status", "--python", str(python)]) == 0
    assert main(["uninstall", "--python", str(python)]) == 0
    assert "removed" in capsys.readouterr().out.splitlines()[-1]
    assert main(["install", "--python", "/no/such/python"]) == 2
    assert "what to do" in capsys.readouterr().err


def test_what_is_no_python_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be run"):
        install_shim(tmp_path)
    with pytest.raises(ConfigError, match="reads no site directory"):
        shim_state(Path("/bin/echo"))


@pytest.mark.engine
def test_the_real_vllm_takes_the_factory(tmp_path: Path) -> None:
    engine = provision(load_recipe("smollm2-135m-cpu")).engine_python
    # Its environment is shared by all stacks of this user: only a path is added, nothing written.
    (tmp_path / "sitecustomize.py").write_text(
        "import autosre_preempt_shim; autosre_preempt_shim.arm()", encoding="utf-8"
    )
    code = (
        "from vllm.config.scheduler import SchedulerConfig; "
        "c = SchedulerConfig.default_factory(policy='priority'); "
        "print(c.get_scheduler_cls().__name__); "
        "c.scheduler_cls = 'vllm.v1.core.sched.scheduler.Scheduler'; "
        "print(c.get_scheduler_cls().__name__)"
    )
    path = os.pathsep.join((str(tmp_path), str(hook_file().parent)))
    said = run(engine, code, PYTHONPATH=path, HOME=str(tmp_path), VLLM_LOGGING_LEVEL="ERROR")
    assert said.splitlines()[-2:] == ["make_scheduler", "Scheduler"]
