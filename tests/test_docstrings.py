"""Public names are documented as numpydoc wants: every parameter, in order, and what is returned or yielded."""

import importlib
import inspect
import pkgutil
import sys

import pytest
from numpydoc.validate import validate

import whatwhere as ww

# GL08 no docstring, SS03 no full stop, PR01-03 parameters missing, unknown or out of order, PR07 not described,
# RT01 and RT03 nothing on what is returned, YD01 nothing on what is yielded.
CHECKS = {"GL08", "SS03", "PR01", "PR02", "PR03", "PR07", "RT01", "RT03", "YD01"}


def public_names():
    modules = [m.name for m in pkgutil.walk_packages(ww.__path__, "whatwhere.") if "._" not in m.name]
    for name in modules:
        module = importlib.import_module(name)
        for key, value in vars(module).items():
            if key.startswith("_") or getattr(value, "__module__", None) != name:
                continue
            if inspect.isclass(value):
                yield f"{name}.{key}"
                members = ((k, v) for k, v in vars(value).items() if not k.startswith("_"))
                yield from (f"{name}.{key}.{k}" for k, v in members if inspect.isfunction(v) or isinstance(v, property))
            elif inspect.isfunction(value):
                yield f"{name}.{key}"


def own_checks(name):
    """Leave out the parameters of classes that only inherit their constructor, and of protocols, which have none."""
    module, _, key = name.rpartition(".")
    value = getattr(importlib.import_module(module), key) if module in sys.modules else None
    without = inspect.isclass(value) and ("__init__" not in vars(value) or getattr(value, "_is_protocol", False))
    return CHECKS - {"PR01", "PR02", "PR03"} if without else CHECKS


@pytest.mark.filterwarnings("ignore:Widget.* is deprecated:DeprecationWarning")  # numpydoc looks at every attribute
@pytest.mark.parametrize("name", sorted(public_names()))
def test_docstring(name):
    errors = [f"{code}: {text}" for code, text in validate(name)["errors"] if code in own_checks(name)]
    assert not errors
