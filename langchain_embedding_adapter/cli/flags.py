"""Settings as flags: one option of the command for each field of a dataclass, with its default and its help.

``@takes(settings=PairsSettings)`` puts the fields of that dataclass in the place of the parameter ``settings``, and
gathers what came back into one.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Collection, Mapping
from dataclasses import Field, fields
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import typer


def takes(
    *, given: bool = False, without: Mapping[str, Collection[str]] | None = None, **kinds: type[Any]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Let a command take the fields of dataclasses as options.

    Args:
        given: Hand over not the settings but a mapping of those that were given on the command line.
        without: Fields that are no options here, by parameter.
        **kinds: The dataclass of each parameter.
    """
    left_out = without or {}

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature, hints = inspect.signature(command), get_type_hints(command, include_extras=True)
        named = {
            name: [each for each in fields(kind) if each.name not in left_out.get(name, ())]
            for name, kind in kinds.items()
        }
        parameters = [inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)]
        for name, parameter in signature.parameters.items():
            if name in kinds:
                types_of = get_type_hints(kinds[name])
                parameters += [_parameter(each, types_of[each.name]) for each in named[name]]
            else:
                parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[name]))

        def called(context: typer.Context, **values: Any) -> None:
            gathered: dict[str, Any] = {}  # apart: an option may be called as a parameter is
            for name, kind in kinds.items():
                taken = {each.name: _plain(values.pop(each.name)) for each in named[name]}
                said = {key: value for key, value in taken.items() if _was_given(context, key)}
                gathered[name] = said if given else kind(**taken)
            command(**values, **gathered)

        called.__name__, called.__doc__ = command.__name__, command.__doc__
        called.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        called.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return called

    return decorate


def flag_of(field: Field[Any]) -> str:
    """A field's name on the command line."""
    return "--" + (field.metadata["flag"] or field.name).replace("_", "-")


def _was_given(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _parameter(field: Field[Any], kind: Any) -> inspect.Parameter:
    """A field as typer takes it: a list for several values, words without blanks for a choice."""
    words = field.metadata
    optional = get_origin(kind) in (Union, types.UnionType) and type(None) in get_args(kind)
    inner = next(each for each in get_args(kind) if each is not type(None)) if optional else kind
    options: dict[str, Any] = {"help": words["help"], "metavar": words["metavar"]}
    default: Any = field.default
    values = tuple(words["values"])
    if get_origin(inner) is Literal:
        choices = get_args(inner)
        values = tuple(choice.replace(" ", "-") for choice in choices)
        options |= {"parser": _chooser(choices), "metavar": "|".join(values)}
        inner = str
    elif get_origin(inner) is tuple:
        inner, default = list[get_args(inner)[0]], [*default]  # type: ignore[misc]
    elif inner in (int, float):
        options |= {"min": words["least"], "metavar": words["metavar"] or ("N" if inner is int else "X")}
    if values:
        options["autocompletion"] = _completer(values)
    annotation: Any = Annotated[inner | None if optional else inner, typer.Option(flag_of(field), **options)]
    return inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _chooser(choices: Collection[str]) -> Callable[[str], str]:
    """Takes one of the choices, blanks written as hyphens or not."""

    def choose(value: str) -> str:
        by_word = {choice.replace(" ", "-"): choice for choice in choices}
        word = value.strip().replace(" ", "-")
        if word not in by_word:
            raise ValueError(f"expected one of {', '.join(by_word)}, got {value!r}")
        return by_word[word]

    return choose


def _completer(values: Collection[str]) -> Callable[[str], list[str]]:
    """What a shell may complete a word to."""

    def complete(incomplete: str) -> list[str]:
        return [value for value in values if value.startswith(incomplete)]

    return complete
