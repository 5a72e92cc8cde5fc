"""The command as a process: in pipes, in a terminal, interrupted, completed by a shell; every example of its help."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import re
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_community.vectorstores import FAISS
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.language_models import SimpleChatModel
from langchain_core.messages import BaseMessage
from typer.completion import get_completion_script

from langchain_embedding_adapter import QADataset, cli, models
from langchain_embedding_adapter.cli.examples import EXAMPLES
from langchain_embedding_adapter.demo import journey as demo
from tests.openai_server import OpenAIServer

NAMES = [
    f"{start}{end}" for start in ("Ar", "Bel", "Cor", "Dun", "Em") for end in ("ada", "is", "on", "ulo", "yx", "tar")
]
TEXTS = {
    name: f"The moon {name} takes {10 + row} days to go round. Its sky is {row % 7} times as bright as that of Mars."
    for row, name in enumerate(NAMES)
}


class Writer(SimpleChatModel):
    """Writes two questions about whichever moon the prompt names."""

    def _call(self, messages: list[BaseMessage], *_: Any, **__: Any) -> str:
        name = next(name for name in NAMES if name in str(messages[-1].content))
        return f"1. How long is a month on {name}?\n2. How bright is the sky of {name}?"

    @property
    def _llm_type(self) -> str:
        return "writer"


class ShownElsewhere:
    """In the place of a demo, which has tests of its own."""

    def to_dict(self) -> dict[str, str]:
        return {}


def real_pairs() -> QADataset:
    queries = {f"q{name}": f"how many days does {name} take" for name in NAMES}
    return QADataset(queries, dict(TEXTS), {f"q{name}": [name] for name in NAMES})


@pytest.fixture
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder with documents, questions and an index, and stand-ins for every model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    base = DeterministicFakeEmbedding(size=16)
    monkeypatch.setattr(models, "load_chat_model", lambda name: Writer())
    monkeypatch.setattr(models, "load_embeddings", lambda name: base)
    monkeypatch.setattr(demo, "run_demo", lambda folder, embeddings, llm: ShownElsewhere())
    (tmp_path / "handbook").mkdir()
    for name, text in TEXTS.items():
        (tmp_path / "handbook" / f"{name}.md").write_text(text)
    real_pairs().save("pairs.json")
    real_pairs().save("real.json")
    Path("questions.txt").write_text("how bright is the sky of Belis\n\nwhich moon takes 12 days\n")
    FAISS.from_texts(list(TEXTS.values()), base, ids=list(TEXTS)).save_local("index")
    return tmp_path


def typed(line: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a line as a shell would, in this process; what it wrote to standard output."""
    words = shlex.split(line)
    out, into = io.StringIO(), None
    if ">" in words:
        into, words = words[words.index(">") + 1], words[: words.index(">")]
    if "<" in words:
        monkeypatch.setattr("sys.stdin", io.StringIO(Path(words[words.index("<") + 1]).read_text()))
        words = words[: words.index("<")]
    with contextlib.redirect_stdout(out), pytest.raises(SystemExit) as stop:
        cli.main(words[1:])
    assert not stop.value.code, f"{line}: {stop.value.code}"
    if into is not None:
        Path(into).write_text(out.getvalue())
    return out.getvalue()


MADE = {
    "embed": ["pairs handbook-run handbook/ --llm a:b"],
    "evaluate": ["pairs handbook-run handbook/ --llm a:b", "train handbook-run"],
    "train": ["pairs handbook-run handbook/ --llm a:b"],
}
for _name in ("report", "ask", "compare", "info"):
    MADE[_name] = [*MADE["evaluate"], "pairs other-run handbook/ --llm a:b", "train other-run --adapter memory"]


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_example_of_the_help_runs(name: str, at_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for line in MADE.get(name, []):
        typed(f"embedding-adapter {line}", monkeypatch)
    for line in EXAMPLES[name]:
        told = typed(line, monkeypatch)
        assert told.strip(), line
        if "--json" in line:
            assert [json.loads(row) for row in told.splitlines()]


BASH = shutil.which("bash") or "bash"
COMMAND = [sys.executable, "-m", "langchain_embedding_adapter.cli"]


def run(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *words], capture_output=True, text=True, check=False, timeout=240, **options)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with documents and a run that was made by the real command with the embedded model."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "handbook").mkdir()
    for name, text in TEXTS.items():
        (folder / "handbook" / f"{name}.md").write_text(text)
    real_pairs().save(folder / "real.json")
    gone = run("run", "r", "handbook", "--pseudo", cwd=folder)
    assert gone.returncode == 0, gone.stderr
    assert "\x1b" not in gone.stdout + gone.stderr
    return folder


def test_nothing_but_the_result_in_a_pipe(made: Path) -> None:
    found = run("ask", "r", "how bright is the sky of Belis", "--json", cwd=made)
    assert found.stderr == ""
    assert len(json.loads(found.stdout)["adapted"]) == 5
    shown = run("ask", "r", "how bright is the sky of Belis", "-k", "3", cwd=made, env={**os.environ, "COLUMNS": "90"})
    assert "\x1b" not in shown.stdout
    assert {len(line) for line in shown.stdout.splitlines()} <= set(range(60, 91))


def test_questions_come_through_a_pipe(made: Path) -> None:
    found = run("ask", "r", "--json", "-k", "1", cwd=made, input="one\n\ntwo\n")
    assert [json.loads(line)["question"] for line in found.stdout.splitlines()] == ["one", "two"]
    none = run("ask", "r", cwd=made, input="\n")
    assert (none.returncode, none.stderr.startswith("error: there is no question to ask")) == (1, True)


def test_a_closed_pipe_ends_quietly(made: Path) -> None:
    questions = "\n".join(f"question {number}" for number in range(400))
    (made / "many.txt").write_text(questions)
    line = f"{shlex.join(COMMAND)} ask r --file many.txt --json | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run([BASH, "-c", line], capture_output=True, text=True, check=True, cwd=made, timeout=240)
    first, code = done.stdout.splitlines()
    assert json.loads(first)["question"] == "question 0"
    assert (code, done.stderr) == ("0", "")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--version"], 0, ""),
        (["train", "nowhere"], 1, "error: there is no folder nowhere; make a run with"),
        (["info", "handbook"], 1, "error: handbook is neither a run nor a saved adapter"),
        (["evaluate", "r"], 1, "a gain on them is no gain"),
        (["train", "r", "--embeding", "x"], 2, "error: no such option: --embeding; did you mean --embeddings?"),
        (["trian"], 2, "error: No such command 'trian'. Did you mean 'train'?"),
        (["pairs", "new", "handbook", "--llm", "openai:small"], 1, "set the environment variable OPENAI_API_KEY"),
        (
            ["pairs", "new", "handbook", "--llm", "opnai:small"],
            1,
            "there is no provider 'opnai'; did you mean openai:…?",
        ),
        (["pairs", "new", "handbook", "--llm", "small"], 1, "error: expected a model as provider:model"),
        (
            ["evaluate", "--adapter", "r/adapter", "--pairs", "real.json", "--embeddings", "local:x"],
            1,
            "local:wordllama",
        ),
        (["train", "r/adapter"], 1, "error: r/adapter is a saved adapter, and no run"),
        (["pairs", "new", "real.json", "--pseudo"], 1, "error: real.json is of no known kind; expected .txt"),
    ],
)
def test_exit_codes_and_what_to_do_next(made: Path, words: list[str], code: int, message: str) -> None:
    alone = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI")}
    done = run(*words, cwd=made, env=alone)
    assert done.returncode == code, done.stderr
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == (code != 0)


def test_a_missing_extra_is_named(made: Path) -> None:
    without = "import sys; sys.modules['torch'] = None; from langchain_embedding_adapter.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", without, "train", "r", "--seed", "5", "--force"],
        capture_output=True, text=True, check=False, cwd=made, timeout=240,
    )  # fmt: skip
    assert done.returncode == 1
    assert "pip install 'langchain-embedding-adapter[train]'" in done.stderr


@pytest.fixture
def slow() -> Iterator[OpenAIServer]:
    with OpenAIServer(latency=0.15) as server:
        yield server


def in_reach_of(server: OpenAIServer) -> dict[str, str]:
    return {**os.environ, "OPENAI_API_BASE": server.url, "OPENAI_API_KEY": "a-key"}


def test_ctrl_c_says_what_is_kept_and_the_same_command_goes_on(slow: OpenAIServer, tmp_path: Path) -> None:
    (tmp_path / "handbook").mkdir()
    for name, text in TEXTS.items():
        (tmp_path / "handbook" / f"{name}.md").write_text(text)
    words = ["pairs", "r", "handbook", "--llm", "openai:small", "--max-concurrency", "1"]
    process = subprocess.Popen(
        [*COMMAND, *words],
        cwd=tmp_path,
        env=in_reach_of(slow),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    answers = tmp_path / "r" / "answers.jsonl"
    deadline = time.monotonic() + 120
    while not answers.exists() or answers.read_text().count("\n") < 4:
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.splitlines()[-1] == "interrupted: r keeps answers; the same command goes on from there"
    assert "Traceback" not in err
    kept = answers.read_text().count("\n")
    slow.latency = 0.0
    again = run(*words, "--json", cwd=tmp_path, env=in_reach_of(slow))
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["generation"]["calls"] <= len(NAMES) - kept + 1
    assert json.loads(again.stdout)["questions"] >= len(NAMES)


def test_the_journey_with_a_server_that_speaks_openais_protocol(slow: OpenAIServer, tmp_path: Path) -> None:
    (tmp_path / "handbook").mkdir()
    for name, text in TEXTS.items():
        (tmp_path / "handbook" / f"{name}.md").write_text(text.replace("The moon ", ""))
    slow.latency = 0.0
    words = ["run", "r", "handbook", "--llm", "openai:small", "--embeddings", "openai:wide"]
    gone = run(*words, cwd=tmp_path, env=in_reach_of(slow))
    assert gone.returncode == 0, gone.stderr
    assert "what a question finds" in gone.stdout
    assert (tmp_path / "r" / "report.json").is_file()
    asked = len(slow.requests)
    assert run(*words, cwd=tmp_path, env=in_reach_of(slow)).stdout == gone.stdout
    assert len(slow.requests) == asked


def on_a_terminal(words: list[str], folder: Path, **environment: str) -> str:
    """What the command writes to a terminal."""
    terminal, its_end = pty.openpty()
    options = {"cwd": folder, "env": {**os.environ, "TERM": "xterm", **environment}}
    with subprocess.Popen([*COMMAND, *words], stdin=its_end, stdout=its_end, stderr=its_end, **options) as process:
        os.close(its_end)
        written = b""
        with contextlib.suppress(OSError):  # how a terminal says that nobody is left to write to it
            while select.select([terminal], [], [], 240)[0] and (part := os.read(terminal, 65536)):
                written += part
        os.close(terminal)
        assert process.wait(timeout=60) == 0, written
    return written.decode()


def test_a_bar_on_a_terminal_and_no_colour(slow: OpenAIServer, tmp_path: Path) -> None:
    (tmp_path / "handbook").mkdir()
    for name, text in list(TEXTS.items())[:10]:
        (tmp_path / "handbook" / f"{name}.md").write_text(text)
    server = {"OPENAI_API_BASE": slow.url, "OPENAI_API_KEY": "a-key"}
    words = ["pairs", "r", "handbook", "--llm", "openai:small", "--max-concurrency", "1"]
    written = on_a_terminal(words, tmp_path, NO_COLOR="1", COLUMNS="100", **server)
    assert re.search(r"questions: +\d+%\|.*\| \d+/10 \[\d\d:\d\d<", written)
    assert re.search(r"\x1b\[[\d;]*m", written) is None
    plain = on_a_terminal(["pairs", "s", *words[2:]], tmp_path, TERM="dumb", **server)
    assert "\x1b" not in plain
    assert "%|" not in plain


def test_bash_completes_commands_options_and_values(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("embedding-adapter")
    if not program.exists():
        pytest.skip("the command is not installed beside this Python")
    name = "embedding-adapter"
    source = get_completion_script(prog_name=name, complete_var="_EMBEDDING_ADAPTER_COMPLETE", shell="bash")  # noqa: S604
    path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"

    def completions(*words: str) -> list[str]:
        listed = " ".join(shlex.quote(word) for word in words)
        ask = (
            f"{source}\nCOMP_WORDS=({listed}); COMP_CWORD=$(( ${{#COMP_WORDS[@]}} - 1 ))\n"
            '_embedding_adapter_completion embedding-adapter; printf "%s\\n" "${COMPREPLY[@]}"'
        )
        done = subprocess.run(
            [BASH, "--norc", "-c", ask], capture_output=True, text=True, check=True, env={**os.environ, "PATH": path}
        )
        return sorted(done.stdout.split())

    assert completions(name, "com") == ["compare"]
    assert completions(name, "train", "r", "--exp") == ["--expect"]
    assert completions(name, "train", "r", "--adapter", "l") == ["linear", "low-rank"]
    assert completions(name, "train", "r", "--expect", "s") == ["same-passages"]
    assert completions(name, "pairs", "r", "d", "--style", "k") == ["keywords"]
    assert completions(name, "train", "r", "--metric", "ndcg", "@", "1") == ["10"]
    assert completions(name, "train", "r", "--embeddings", "local", ":", "w") == ["wordllama"]
    assert completions(name, "run", "r", "--llm", "openai", ":") == ["gpt-4o-mini"]
    assert completions(name, "compare", "a", "b", "--metric", "map") == ["map@10", "map@5"]
