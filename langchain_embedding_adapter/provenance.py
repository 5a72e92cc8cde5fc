"""What an adapter carries of how it came about: data, settings, verdict, figures, for its card and whoever loads it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from langchain_embedding_adapter.calibration import ScoreCalibration
from langchain_embedding_adapter.selection.candidates import Future
from langchain_embedding_adapter.selection.training import Task, Trained
from langchain_embedding_adapter.teacher import TeacherCheck


def provenance_of(
    task: Task,
    trained: Trained,
    expect: Future,
    check: TeacherCheck | None,
    calibration: ScoreCalibration | None,
) -> dict[str, Any]:
    """The provenance of a trained adapter, as its ``config.json`` holds it.

    Args:
        task: What was learned from.
        trained: What came of it.
        expect: What tomorrow's questions will be about.
        check: How the teacher did, if there was one.
        calibration: The map of scores, if one was fitted.
    """
    selection, report = trained.selection, trained.report
    training: dict[str, Any] = {
        **task.counts,
        "improved": trained.improved,
        "data": {**task.origin, "digest": task.digest},
    }
    if task.pseudo_styles:
        training |= {"pseudo_questions": len(task.pseudo_styles), "verdict": selection and selection.reason}
    elif selection is not None:
        training["expect"] = expect
    if selection is not None:
        training["chosen"] = str(selection.chosen)
    if check is not None:
        training["teacher"] = check.reason
    training["settings"] = asdict(task.config)
    provenance: dict[str, Any] = {
        "report": None if report.adapted_scores is None else report.to_dict,
        "training": training,
        "log": {
            "history": trained.history,
            "candidates": [] if selection is None else selection.to_dict()["candidates"],
        },
    }
    if calibration is not None:
        provenance["calibration"] = calibration.to_dict()
    return provenance
