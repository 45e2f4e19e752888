"""What pydantic does to validate an SDK's objects, read off the schemas of its classes: the class of a stream's events
in, a plan for `chunkwire._live` out.

A schema says all that happens to a value. For each kind of JSON value the plan has what becomes of it; what it does not
know for certain (functions, unions of which more than one could take a value, values that would be coerced) it leaves
to the SDK, with the whole event.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from enum import Enum
from typing import Any, TypeAlias

import pydantic

__all__ = ["DATA", "Unplanned", "plan"]

Spec: TypeAlias = tuple[Any, ...]
#: What becomes of a value, by its kind; a kind that is not there is refused.
Ways: TypeAlias = dict[str, Spec]

#: The field of an event in which its data is.
DATA = "data"

_KINDS = ("text", "object", "array", "null", "bool", "int", "float")
_CLIENT: Spec = ("client",)
_NEVER: Spec = ("never",)
_NULL: Spec = ("null",)
#: What a validation that is not strict takes, and makes of another kind.
_SCALARS: dict[str, Ways] = {
    "str": {"text": ("str",)},
    "int": {"int": ("int",), "float": _CLIENT, "bool": _CLIENT, "text": _CLIENT},
    "float": {"float": ("float",), "int": ("float",), "bool": _CLIENT, "text": _CLIENT},
    "bool": {"bool": ("bool",), "int": _CLIENT, "float": _CLIENT, "text": _CLIENT},
    "any": dict.fromkeys(_KINDS, ("any",)),
    "none": {"null": _NULL},
}
#: What is of the very type is taken at once, whatever stands behind it in a union.
_EXACT: dict[str, Spec] = {"text": ("str",), "int": ("int",), "float": ("float",), "bool": ("bool",)}
_SLOTS = ("__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
#: These keys of a schema change no value.
_SILENT = {"type", "ref", "metadata", "serialization"}
_CONFIG = {"title", "validate_by_alias", "validate_by_name", "populate_by_name", "extra_fields_behavior"}


class Unplanned(TypeError):
    """A class does something of its own when its instances are made."""


def plan(root: Any) -> list[tuple[Any, ...]]:
    """The plan of the class of a stream's events and of those below it.

    Raises
    ------
    Unplanned
        If it is no class of which an instance has ``data`` and nothing else, or is made in a way that is not known.
    """
    if not (inspect.isclass(root) and issubclass(root, pydantic.BaseModel)):
        raise Unplanned("the events are no models")
    if list(root.model_fields) != [DATA] or root.model_config.get("extra", "ignore") != "ignore":
        raise Unplanned(f"{root.__qualname__} has other fields than data")
    try:
        models = _Models(root)
        models.number(models.schema)
    except (AttributeError, KeyError, TypeError, ValueError) as error:  # a pydantic that is not known
        raise Unplanned(f"{root.__qualname__}: {error}") from error
    return [model for model in models.planned if model is not None]


class _Models:
    def __init__(self, root: type[pydantic.BaseModel]) -> None:
        if not root.__pydantic_complete__:
            root.model_rebuild()
        schema: Any = root.__pydantic_core_schema__
        self._definitions: dict[str, Any] = {}
        if schema["type"] == "definitions":
            self._definitions = {one["ref"]: one for one in schema["definitions"]}
            schema = schema["schema"]
        self.schema = self._resolved(schema)
        self._numbers: dict[type, int] = {}
        self._open: list[str] = []
        self.planned: list[tuple[Any, ...] | None] = []

    def _resolved(self, schema: Any) -> Any:
        while schema["type"] == "definition-ref":
            schema = self._definitions[schema["schema_ref"]]
        return schema

    def number(self, schema: Any) -> int:
        """The number of a model, which is planned with all that is below it."""
        cls = schema["cls"]
        if cls not in self._numbers:
            keeps_extras, fields = self._fields_of(schema)
            number = self._numbers[cls] = len(self.planned)
            self.planned.append(None)
            try:
                self.planned[number] = self._planned(cls, keeps_extras, fields)
            except Exception:
                # The numbers of those below it are gone too; nothing refers to them.
                self._numbers = {one: place for one, place in self._numbers.items() if place < number}
                del self.planned[number:]
                raise
        return self._numbers[cls]

    def _fields_of(self, schema: Any) -> tuple[bool, dict[str, Any]]:
        """Does a model keep extras, and its fields; raises if instances are more than that."""
        cls, config, inner = schema["cls"], schema.get("config", {}), schema["schema"]
        own = (
            _has_more(schema, "cls", "config", "schema", "custom_init", "root_model")
            or schema.get("custom_init")
            or schema.get("root_model")
            or not config.keys() <= _CONFIG
            or not config.get("validate_by_alias", True)
            or config.get("extra_fields_behavior", "ignore") not in ("ignore", "allow")
            or inner["type"] != "model-fields"
            or _has_more(inner, "fields", "model_name", "computed_fields")
            or cls.__private_attributes__
            or cls.__pydantic_post_init__
            or cls.__new__ is not object.__new__
        )
        if own:
            raise Unplanned(f"{cls.__qualname__} is made in a way of its own")
        return config.get("extra_fields_behavior") == "allow", inner["fields"]

    def _planned(self, cls: Any, keeps_extras: bool, fields: dict[str, Any]) -> tuple[Any, ...]:
        defaults: dict[str, Any] = {}
        planned = []
        for name, field in fields.items():
            key = field.get("validation_alias", name)
            if _has_more(field, "schema", "validation_alias", "serialization_alias") or not isinstance(key, str):
                raise Unplanned(f"{cls.__qualname__}.{name} is made in a way of its own")
            schema, fresh = field["schema"], None
            required = schema["type"] != "default"
            defaults[name] = None
            if not required:
                if _has_more(schema, "default", "schema"):
                    raise Unplanned(f"{cls.__qualname__}.{name} is made in a way of its own")
                fresh = self._fresh(schema["default"])
                defaults[name] = None if fresh is not None else schema["default"]
                schema = schema["schema"]
            planned.append((name, key, required, _CLIENT, _spec(self._ways(schema)), fresh))
        return cls, _slots(cls), defaults, keeps_extras, planned

    def _fresh(self, default: Any) -> int | None:
        """The number of the model of which a default is an empty instance: pydantic copies what has no hash."""
        if default is None or isinstance(default, (str, int, float, bool, Enum)):
            return None
        cls = type(default)
        empty = isinstance(default, pydantic.BaseModel) and not vars(default) and not default.__pydantic_fields_set__
        if not empty or cls.__hash__ is not None or "__deepcopy__" in vars(cls):
            raise Unplanned(f"{cls.__qualname__} is a default of its own kind")
        schema = next((one for one in self._definitions.values() if one.get("cls") is cls), None)
        schema = schema or self._resolved(_inner(cls.__pydantic_core_schema__))
        if schema["schema"].get("fields"):
            raise Unplanned(f"{cls.__qualname__} is a default with fields")
        return self.number(schema)

    def _ways(self, schema: Any) -> Ways:
        """What becomes of a value, by its kind."""
        if schema["type"] == "definition-ref":
            # (What refers to itself without a model between is not known.)
            ref = schema["schema_ref"]
            if ref in self._open:
                return dict.fromkeys(_KINDS, _CLIENT)
            self._open.append(ref)
            try:
                return self._ways_of(self._resolved(schema))
            finally:
                self._open.pop()
        return self._ways_of(schema)

    def _ways_of(self, schema: Any) -> Ways:
        reader: Callable[[Any], Ways | None] | None = getattr(self, "_" + schema["type"].replace("-", "_"), None)
        if schema["type"] in _SCALARS and not _has_more(schema):
            return _SCALARS[schema["type"]]
        ways = reader(schema) if reader is not None else None
        return dict.fromkeys(_KINDS, _CLIENT) if ways is None else ways

    def _nullable(self, schema: Any) -> Ways | None:
        return None if _has_more(schema, "schema") else {**self._ways(schema["schema"]), "null": _NULL}

    def _literal(self, schema: Any) -> Ways | None:
        texts = schema["expected"]
        is_known = not _has_more(schema, "expected") and all(type(one) is str for one in texts)
        return {"text": ("literal", list(texts))} if is_known else None

    def _enum(self, schema: Any) -> Ways | None:
        members = schema["members"]
        is_known = not _has_more(schema, "cls", "members", "sub_type") and all(
            isinstance(one, str) and type(one.value) is str  # type: ignore[attr-defined]
            for one in members
        )
        scalars = dict.fromkeys(("int", "float", "bool"), _CLIENT)
        return {**scalars, "text": ("enum", [(one.value, one) for one in members])} if is_known else None

    def _list(self, schema: Any) -> Ways | None:
        return (
            None
            if _has_more(schema, "items_schema")
            else {"array": ("list", _spec(self._ways(schema["items_schema"])))}
        )

    def _dict(self, schema: Any) -> Ways | None:
        is_known = not _has_more(schema, "keys_schema", "values_schema") and (
            self._ways(schema["keys_schema"]) == _SCALARS["str"]
            and self._ways(schema["values_schema"]) == _SCALARS["any"]
        )
        return {"object": ("any",)} if is_known else {"object": _CLIENT}

    def _model(self, schema: Any) -> Ways | None:
        try:
            return {"object": ("model", self.number(schema))}
        except Unplanned:
            return {"object": _CLIENT}

    def _union(self, schema: Any) -> Ways | None:
        if _has_more(schema, "choices"):
            return None
        choices = [one[0] if isinstance(one, tuple) else one for one in schema["choices"]]
        all_ways = [self._ways(one) for one in choices]
        last = self._resolved(choices[-1])
        is_empty = last["type"] == "model" and last["schema"].get("fields") == {}
        found: Ways = {}
        for kind in _KINDS:
            ways = [one[kind] for one in all_ways if kind in one]
            if ways:
                found[kind] = ways[0] if len(ways) == 1 else self._best(kind, ways, is_empty)
        return found

    def _best(self, kind: str, ways: list[Spec], is_last_empty: bool) -> Spec:
        """Which of several choices takes a value, if that is certain."""
        if kind == "null" or ways[0] == _EXACT.get(kind):
            return ways[0]
        if kind == "text" and [one[0] for one in ways] == ["literal", "open"]:
            return ("open", ways[0][1], ways[1][2])
        # Of two that are valid pydantic takes the one that has more fields set, and of equal ones the first.
        if kind == "object" and len(ways) == 2 and is_last_empty and ways[0][0] in ("model", "any"):
            return ways[0]
        return _CLIENT

    def _function_after(self, schema: Any) -> Ways | None:
        """A constant that is compared once more behind its literal: it is what the literal lets pass."""
        function, text = schema["function"], self._ways(schema["schema"]).get("text", _CLIENT)
        if _has_more(schema, "function", "schema") or function["type"] != "no-info" or text[0] != "literal":
            return None
        is_const = getattr(function["function"], "__qualname__", "") == "validate_const.<locals>.validate"
        values = inspect.getclosurevars(function["function"]).nonlocals if is_const else {}
        return {"text": text, "null": _CLIENT} if [values.get("v")] == text[1] else None

    def _lax_or_strict(self, schema: Any) -> Ways | None:
        """A text that no literal has, as an instance of a class of texts."""
        lax, strict = schema["lax_schema"], schema["strict_schema"]
        if _has_more(schema, "lax_schema", "strict_schema") or lax["type"] != "chain" or strict["type"] != "none":
            return None
        first, last = lax["steps"]
        if first != {"type": "str"} or last["type"] != "function-plain" or last["function"]["type"] != "no-info":
            return None
        function = last["function"]["function"]
        name = "UnrecognizedStr.__get_pydantic_core_schema__.<locals>.validate_lax"
        cls = inspect.getclosurevars(function).nonlocals.get("cls") if function.__qualname__ == name else None
        is_text = inspect.isclass(cls) and issubclass(cls, str) and cls.__new__ is str.__new__
        return {"text": ("open", [], cls)} if is_text and "__init__" not in vars(cls) else None


def _slots(cls: type) -> list[Any]:
    """The slots of a class's instances. If an attribute of the class hides that of extras, they stand in the dict."""
    slots = [inspect.getattr_static(cls, name, None) for name in _SLOTS]
    if not inspect.ismemberdescriptor(slots[1]) and not hasattr(type(slots[1]), "__set__"):
        slots[1] = None
    if not all(inspect.ismemberdescriptor(one) or one is None for one in slots) or None in (slots[0], slots[2]):
        raise Unplanned(f"{cls.__qualname__} is made in a way of its own")
    return slots


def _inner(schema: Any) -> Any:
    return schema["schema"] if schema["type"] == "definitions" else schema


def _has_more(schema: Any, *keys: str) -> bool:
    """Has a schema keys that are set and mean something beside these?"""
    return any(value not in (None, [], {}) for key, value in schema.items() if key not in _SILENT and key not in keys)


def _spec(ways: Ways) -> Spec:
    """The ways as one specification."""
    if ways == _SCALARS["any"]:
        return ("any",)
    others = {ways[kind] for kind in ("bool", "int", "float") if kind in ways and ways[kind] != _CLIENT}
    other = _NEVER if not others else others.pop() if len(others) == 1 else _CLIENT
    by_kind = {kind: ways.get(kind, _NEVER) for kind in ("text", "object", "array")}
    known = [one for one in (*by_kind.values(), other) if one not in (_NEVER, _CLIENT)]
    if len(known) == 1 and known[0][0] != "any":  # which refuses the other kinds by itself
        only = known[0]
    else:
        rest = ("nullable", other) if ways.get("null") == _NULL else other
        return ("kinds", [*by_kind.values(), rest])
    return ("nullable", only) if ways.get("null") == _NULL else only
