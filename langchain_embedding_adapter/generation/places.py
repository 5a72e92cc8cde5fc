"""Where a generation keeps its answers: a file of this machine, or shards in a folder that every worker reaches.

Beside them go the questions that were turned down, what failed and why, the parts and a summary.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from langchain_embedding_adapter._files import write_atomically
from langchain_embedding_adapter.cluster.shards import ShardFolder, to_lines
from langchain_embedding_adapter.generation.answers import AnswerFile

FIELDS = ("chunk", "document", "text", "questions", "answer")
"""What every kept answer holds."""
FILE, SHARDS = ".jsonl", ".shards"
ASKED, FAILED = "asked", "failed"
"""Folders beside shards, for as long as a run lasts: what each asks, and what it gave up."""


class AnswerFolder:
    """Answers by key, in memory, from the shards of a folder; workers write these, and say when one is there.

    It is a context, like :class:`AnswerFile`. Of a folder on this machine it is the only one at a time; an object store
    knows no such claim.

    Args:
        shards: The folder.
        fields: What every answer holds besides its key.

    Attributes:
        answers: Every answer by its key.

    Raises:
        RuntimeError: On entry, if another process works with the folder.
        ValueError: On entry, if a shard holds something else.
    """

    def __init__(self, shards: ShardFolder, fields: tuple[str, ...]) -> None:
        self.answers: dict[str, dict[str, Any]] = {}
        self._shards, self._fields = shards, fields
        self._claim = contextlib.ExitStack()

    def __enter__(self) -> AnswerFolder:
        with contextlib.ExitStack() as claim:
            claim.enter_context(self._shards.claimed())
            for rows in self._shards.read_many(self._shards.names()):
                for row in rows:
                    self.append(row)
            for name in self._shards.unfinished():
                for row in self._shards.journal(name).rows():
                    self.append(row)
            self._claim = claim.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._claim.close()

    def append(self, row: dict[str, Any]) -> None:
        """Know an answer that stands in a shard."""
        missing = [name for name in ("key", *self._fields) if name not in row]
        if missing:
            raise ValueError(
                f"{self._shards} holds something else than answers: a row has no {missing[0]!r}; name a folder that an "
                "earlier run wrote, or a new one"
            )
        self.answers[row["key"]] = row


class Place:
    """A generation's place.

    Args:
        path: A ``.jsonl`` file, or, on Ray, also a folder of any file system; ``None`` for no place.
        on_ray: Whether workers on a cluster write.

    Attributes:
        shards: The folder of the workers' shards, if they write.
        passing: Whether shards only lie there until their answers stand in the file.

    Raises:
        ValueError: If workers have no place to write to, or the place is none for this engine.
    """

    def __init__(self, path: str | Path | None, *, on_ray: bool) -> None:
        self._path = None if path is None else str(path)
        stem = self._path.removesuffix(FILE) if self._path and self._path.endswith(FILE) else None
        passing = None if stem is None else stem + SHARDS
        self.passing = passing is not None and (on_ray or Path(passing).is_dir())  # else a killed run on Ray left them
        self.shards: ShardFolder | None = None
        remote = self._path is not None and "://" in self._path
        if not on_ray:
            if remote:
                raise ValueError(f"expected a file of this machine, got {path}; engine='ray' writes to any file system")
            if passing is not None and self.passing:
                self.shards = ShardFolder(passing)
            return
        if self._path is None:
            raise ValueError(
                "with engine='ray' the workers write every answer themselves: expected path=…, a folder that all of "
                "them reach (s3://bucket/answers, gs://…, a shared disk; on one machine any folder or .jsonl file)"
            )
        if self.passing and remote:
            raise ValueError(f"expected a folder, got {path}; answers are gathered in a file on this machine only")
        self.shards = ShardFolder(passing or self._path)

    def __str__(self) -> str:
        return self._path or ""

    def answers(self) -> AnswerFile | AnswerFolder:
        """The answers so far, to be entered."""
        if self.shards is not None and not self.passing:
            return AnswerFolder(self.shards.within("answers"), FIELDS)
        return AnswerFile(self._path, FIELDS)

    def verdicts(self) -> AnswerFile | AnswerFolder:
        """The verdicts of the judge so far, to be entered."""
        if self.shards is not None and not self.passing:
            return AnswerFolder(self.shards.within("judged"), ("answer",))
        return AnswerFile(None if self._path is None else self._beside("judged.jsonl"), ("answer",))

    def shards_of(self, name: str) -> ShardFolder:
        """The shards of one kind of calls.

        Raises:
            ValueError: If no worker writes here.
        """
        if self.shards is None:
            raise ValueError(f"expected a place that workers write to, got {self}")
        return self.shards.within(name)

    def take_over(self, name: str, answers: AnswerFile | AnswerFolder) -> None:
        """Take over what a run that was killed left of its shards: the answers in them are paid for."""
        if self.shards is None:
            return
        shards = self.shards_of(name)
        for shard in shards.unfinished():
            if not shards.done(shard):
                shards.write(shard, shards.journal(shard).rows())
            shards.journal(shard).clear()
        for shard in shards.names() if self.passing else ():
            for row in shards.read(shard):
                if row["key"] not in answers.answers:
                    answers.append(row)
            shards.remove(shard)
        self.clear(name)

    def clear(self, name: str) -> None:
        """Leave nothing but answers behind, nor their shards where these only pass."""
        shards = self.shards_of(name)
        for folder in (ASKED, FAILED):
            shards.drop(folder)
        if self.passing:
            shards.drop("")
            with contextlib.suppress(OSError):  # the other kind of calls is still there
                Path(shards.local_path).parent.rmdir()

    def write(self, name: str, value: Any) -> None:
        """Write a file beside the answers: rows where its name says so, else one value."""
        if self._path is None:
            return
        text = to_lines(value) if name.endswith(FILE) else json.dumps(value, ensure_ascii=False, indent=1).encode()
        data = text if name.endswith(FILE) else text + b"\n"
        if self.shards is not None and not self.passing:
            self.shards.put(name, data)
        else:
            write_atomically(self._beside(name), data)

    def read(self, name: str) -> Any:
        """The value of a file beside the answers; ``None`` if it is not there.

        Raises:
            ValueError: If it holds no valid JSON.
        """
        try:
            if self._path is None:
                return None
            if self.shards is not None and not self.passing:
                data = self.shards.get(name)
            else:
                data = self._beside(name).read_bytes()
        except FileNotFoundError:
            return None
        try:
            return json.loads(data)
        except ValueError as error:
            raise ValueError(f"{name} beside the answers in {self} is not valid JSON: {error}") from error

    def take_away(self, name: str) -> None:
        """Take a file beside the answers away, if it is there."""
        if self.shards is not None and not self.passing:
            self.shards.drop(name)
        elif self._path is not None:
            self._beside(name).unlink(missing_ok=True)

    def _beside(self, name: str) -> Path:
        return Path(str(self._path)).with_suffix(f".{name}")
