"""The classes of an atlas: which one is meant, and what a list says of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import traitlets

from whatwhere.classes import UnknownClassError

if TYPE_CHECKING:
    from whatwhere.atlas import Atlas


class PageTrait(traitlets.TraitType[Any, Any]):
    """A class that has a page, by id or name; kept as the id."""

    info_text = "the id or name of a class that has a page"

    def validate(self, obj: Any, value: Any) -> int:
        """Resolve a name to its id.

        Parameters
        ----------
        obj : AtlasView
            The view.
        value : int or str
            What was assigned.

        Returns
        -------
        int
            The id.

        Raises
        ------
        TraitError
            If there is no such class, several, or one without a page; the message says which were meant, or why.
        """
        try:
            return find_page(obj.atlas, value)
        except (UnknownClassError, TypeError) as error:
            raise traitlets.TraitError(str(error).replace("target:", f"{self.name}:", 1)) from None


def describe_classes(atlas: Atlas) -> dict[str, Any]:
    """List the classes of an atlas, column by column.

    Parameters
    ----------
    atlas : Atlas
        The classes.

    Returns
    -------
    dict
        ``_list`` on the wire: those with a page, then those without, with the reason.
    """
    ids = [*atlas, *atlas.skipped]
    facts = {target: atlas.facts(target) for target in atlas}
    every = [facts.get(target) for target in ids]
    return {
        "ids": ids,
        "names": [atlas.class_names[target] for target in ids],
        "photos": [None if told is None else told.n_images for told in every],
        "important": [None if told is None else told.n_important for told in every],
        "accuracy": [None if told is None or told.accuracy is None else round(told.accuracy, 4) for told in every],
        "why": {str(target): why for target, why in atlas.skipped.items()},
    }


def find_page(atlas: Atlas, target: Any, argument: str = "target") -> int:
    """Find a class that has a page.

    Parameters
    ----------
    atlas : Atlas
        The classes.
    target : int or str
        Id or name.
    argument : str, default "target"
        What messages call it.

    Returns
    -------
    int
        Its id.

    Raises
    ------
    TypeError
        If it is neither.
    whatwhere.UnknownClassError
        If there is no such class, or it has no page; the message says which are near, or why.
    """
    try:
        atlas.facts(target)
    except KeyError as error:
        raise UnknownClassError(f"{argument}: {error.args[0]}") from None
    except (UnknownClassError, TypeError) as error:
        raise type(error)(str(error).replace("target:", f"{argument}:", 1)) from None
    return atlas.class_names.resolve(target)


def check_atlas(atlas: Any) -> Atlas:
    """Refuse what is no atlas, and one that has no page.

    Parameters
    ----------
    atlas : object
        What was given.

    Returns
    -------
    Atlas
        The same.

    Raises
    ------
    TypeError, ValueError
        If it is something else, or has no page.
    """
    from whatwhere.atlas import Atlas

    if not isinstance(atlas, Atlas):
        raise TypeError(f"atlas: wanted a ww.Atlas, as Atlas.of and Atlas.load give, got {type(atlas).__name__}.")
    if not len(atlas):
        why = next(iter(atlas.skipped.items()), None)
        reason = "" if why is None else f" Class {why[0]}, for one: {why[1]}"
        raise ValueError(f"atlas: wanted at least one class with a page, got none.{reason}")
    return atlas
