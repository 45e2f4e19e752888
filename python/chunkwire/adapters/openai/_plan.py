"""What openai does to build its objects, read off its classes: a model class in, a plan for `chunkwire._live` out.

openai *constructs* its models: fields are taken as they were sent, unchecked, but for the optional ones. There it first
lets pydantic validate (which may change a value: ``"5"`` becomes 5), and constructs only what is not valid. The plan
says both for each field. What it does not know for certain it leaves to openai.
"""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable
from typing import Any, Literal, TypeAlias, Union, get_args, get_origin

import pydantic

__all__ = ["Unplanned", "plan"]

Spec: TypeAlias = tuple[Any, ...]

_CLIENT: Spec = ("client",)
_RAW: Spec = ("raw",)
_SCALARS: dict[Any, str] = {str: "str", int: "int", float: "float", bool: "bool"}
_SLOTS = ("__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
_IMMUTABLE = (type(None), str, int, float, bool)


class Unplanned(TypeError):
    """A model class does something of its own when it is built."""


def plan(root: type[pydantic.BaseModel], base: type[pydantic.BaseModel]) -> list[tuple[Any, ...]]:
    """The plan of a model class and of those below it; `base` is openai's own base class of all of them.

    Raises
    ------
    Unplanned
        If ``root`` is built in a way that is not known. (A class below it makes only its fields unknown.)
    """
    models = _Models(base)
    try:
        models.number(root)
    except (AttributeError, KeyError, ValueError) as error:  # a pydantic that is not known
        raise Unplanned(f"{root.__qualname__}: {error}") from error
    return [model for model in models.planned if model is not None]


class _Models:
    def __init__(self, base: type[pydantic.BaseModel]) -> None:
        self._base = base
        self._numbers: dict[type, int] = {}
        self.planned: list[tuple[Any, ...] | None] = []

    def number(self, cls: type[pydantic.BaseModel]) -> int:
        """The number of a class, which is planned with all that is below it."""
        if cls in self._numbers:
            return self._numbers[cls]
        self._check(cls)
        number = self._numbers[cls] = len(self.planned)
        self.planned.append(None)
        fields = [
            (
                name,
                name,
                field.is_required(),
                self._constructed(field.annotation, field),
                self._checked(field.annotation, field),
                None,
            )
            for name, field in cls.model_fields.items()
        ]
        defaults = {name: _default(field) for name, field in cls.model_fields.items()}
        slots = [inspect.getattr_static(cls, name) for name in _SLOTS]
        self.planned[number] = (cls, slots, defaults, True, fields)
        return number

    def _check(self, cls: type[pydantic.BaseModel]) -> None:
        """Raises if instances are more than their fields."""
        decorators = cls.__pydantic_decorators__
        own = (
            get_origin(cls) is not None
            or cls.__pydantic_root_model__
            or cls.__pydantic_custom_init__
            or cls.__pydantic_post_init__
            or cls.__private_attributes__
            or cls.__pydantic_generic_metadata__["origin"]
            or any(getattr(decorators, kind) for kind in decorators.__dataclass_fields__)
            or cls.__new__ is not object.__new__
            or _function(cls, "construct") is not _function(self._base, "construct")
            or _function(cls, "__get_pydantic_core_schema__")
            is not _function(self._base, "__get_pydantic_core_schema__")
            or any("__pydantic_extra__" in inspect.get_annotations(one) for one in _between(cls, self._base))
            or {**cls.model_config, "defer_build": None} != {**self._base.model_config, "defer_build": None}
            or cls.model_config.get("extra") != "allow"
        )
        if own or not all(inspect.ismemberdescriptor(inspect.getattr_static(cls, name, None)) for name in _SLOTS):
            raise Unplanned(f"{cls.__qualname__} is built in a way of its own")
        for name, field in cls.model_fields.items():
            if field.alias or field.validation_alias or not isinstance(_default(field), _IMMUTABLE):
                raise Unplanned(f"{cls.__qualname__}.{name} is built in a way of its own")

    def _constructed(self, annotation: Any, field: Any = None) -> Spec:
        """How openai's ``construct_type`` makes a value that is not null."""
        if field is not None and field.metadata:
            return _CLIENT
        if annotation in (str, int, bool, object, Any, type(None)):
            return _RAW
        if annotation is float:
            return ("float",)
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin is Literal:
            return _RAW
        if _is_union(origin):
            # The first one is taken that does not fail, and none of those that are known fails.
            return ("optional", self._checked(annotation), self._constructed(arguments[0]))
        if origin is list and arguments:
            return self._known(lambda: ("list", self._constructed(arguments[0])))
        if self._is_model(annotation):
            return self._known(lambda: ("model", self.number(annotation)))
        return _CLIENT

    def _checked(self, annotation: Any, field: Any = None) -> Spec:
        """How pydantic validates a value."""
        if field is not None and field.metadata:
            return _CLIENT
        if annotation in (object, Any):
            return ("any",)
        if annotation in _SCALARS:
            return (_SCALARS[annotation],)
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin is Literal and all(isinstance(one, str) for one in arguments):
            return ("literal", arguments)
        if _is_union(origin) and len(arguments) == 2 and type(None) in arguments:
            (other,) = (one for one in arguments if one is not type(None))
            return self._known(lambda: ("nullable", self._checked(other)))
        if origin is list and arguments:
            return self._known(lambda: ("list", self._checked(arguments[0])))
        if self._is_model(annotation):
            return self._known(lambda: ("model", self.number(annotation)))
        return _CLIENT

    def _known(self, spec: Callable[[], Spec]) -> Spec:
        try:
            return spec()
        except Unplanned:
            return _CLIENT

    def _is_model(self, annotation: Any) -> bool:
        return inspect.isclass(annotation) and issubclass(annotation, self._base)


def _is_union(origin: Any) -> bool:
    return origin is Union or origin is types.UnionType


def _default(field: Any) -> Any:
    """What openai gives for a field that was not sent."""
    if field.default_factory is not None:
        return field.default_factory  # which is none that may stand in an instance
    return None if field.is_required() else field.default


def _function(cls: type, name: str) -> Any:
    found = getattr(cls, name, None)
    return getattr(found, "__func__", found)


def _between(cls: type, base: type) -> list[type]:
    """The classes from a class up to its base."""
    return [one for one in cls.__mro__ if issubclass(one, base)]
