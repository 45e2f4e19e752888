"""Links in an archive: names of members and of targets in, the members that links lead to out."""

from __future__ import annotations

import posixpath

__all__ = ["LINK", "Links"]

#: What stands between the name of a link and that of its target, where that is not in the archive.
LINK = " -> "
#: Links that lead to links are followed so often, as systems do.
_MOST_LINKS = 40


class Links:
    """The members of an archive, by number, and the links among them."""

    def __init__(self) -> None:
        self._files: dict[str, int] = {}
        self._links: list[tuple[str, str, int | str]] = []  # its name and target, and what that is
        self._targets: dict[str, int | str] = {}

    def add_file(self, name: str, number: int) -> None:
        """A member that is a file."""
        self._files[posixpath.normpath(name)] = number

    def add_link(self, name: str, target: str, *, is_hard: bool) -> None:
        """One that is a link: a hard one names a member that came before, another a path from where it stands."""
        if is_hard:
            path = posixpath.normpath(target)
            found: int | str = self._files.get(path, path)
        else:
            found = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
        self._links.append((name, target, found))
        self._targets[posixpath.normpath(name)] = found

    def resolved(self) -> tuple[dict[int, list[str]], list[tuple[str, str]]]:
        """The links to each file in the archive, by its number; and the others, with their targets."""
        found: dict[int, list[str]] = {}
        lost = []
        for name, target, place in self._links:
            for _ in range(_MOST_LINKS):
                if isinstance(place, int) or place in self._files or place not in self._targets:
                    break
                place = self._targets[place]
            number = place if isinstance(place, int) else self._files.get(place)
            if number is None:
                lost.append((name, target))
            else:
                found.setdefault(number, []).append(name)
        return found, lost
