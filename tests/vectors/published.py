"""Readers for the published vectors in `cryptography_vectors`."""

from collections.abc import Iterator

from cryptography_vectors import open_vector_file


def lines(name: str) -> list[str]:
    with open_vector_file(name, "r") as file:
        return [line.strip() for line in file]


def cases(name: str) -> list[dict[str, str]]:
    """The numbered blocks of a file of `name = value` lines, each with the [sections] it stands in."""
    return list(_cases(name))


def _cases(name: str) -> Iterator[dict[str, str]]:
    sections: dict[str, str] = {}
    case: dict[str, str] = {}
    for line in lines(name):
        key, _, value = (part.strip() for part in line.strip("[]").partition("="))
        if key.upper() == "COUNT":
            if case:
                yield sections | case
            case = {"COUNT": value}
        elif line.startswith("["):
            if case:
                yield sections | case
            case, sections = {}, sections | {key: value}
        elif line and not line.startswith("#"):
            case[key] = value
    yield sections | case
