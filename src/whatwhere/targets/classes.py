"""Classes as targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from whatwhere.engine._checks import integer
from whatwhere.targets.target import Target, Term

if TYPE_CHECKING:
    from whatwhere.model import VisionModel


@dataclass(frozen=True, eq=False, repr=False)
class ClassScore(Target):
    """A class's logit: a softmax would saturate, and rise by lowering other classes.

    Parameters
    ----------
    target : int or str
        Class id or name.
    name : str, default ""
        What to call it; by default the network's name of the class.

    Raises
    ------
    TypeError
        If `target` is neither.
    """

    target: int | str
    name: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.target, str):
            object.__setattr__(self, "target", integer("target", self.target, 0))

    @property
    def label(self) -> str:
        """The class's name."""
        return self.name or (self.target if isinstance(self.target, str) else f"class {self.target}")

    def _bound(self, model: VisionModel) -> ClassScore:
        class_id = model.class_names.resolve(self.target)
        return ClassScore(class_id, self.name or model.class_names.label(class_id))

    def _terms(self, model: VisionModel) -> tuple[Term, ...]:
        class_id = model.class_names.resolve(self.target)
        return (Term(1.0, None, lambda logits: logits[:, class_id]),)
