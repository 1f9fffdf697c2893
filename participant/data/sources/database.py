"""Connections to databases, and errors that tell nothing of an address.

An address may hold a password, and a driver's errors quote addresses, statements and values: so only their class is
reported.
"""

from importlib.util import find_spec

import sqlalchemy
from sqlalchemy.exc import SQLAlchemyError

from participant.data.model.errors import SourceError

_POSTGRESQL = "postgresql+psycopg"


def engine_of(url: str) -> sqlalchemy.Engine:
    """Return an engine for a database's address, which connects later.

    Raises:
        SourceError: the address is invalid, or its driver is missing or asynchronous.
    """
    address = address_of(url)
    try:
        engine = sqlalchemy.create_engine(address, hide_parameters=True)
    except ImportError as error:
        raise SourceError(_no_driver(address, error)) from None
    except (SQLAlchemyError, ValueError, TypeError) as error:
        raise told("the address cannot be used", error) from None
    if engine.dialect.is_async:
        raise SourceError("this driver is an asynchronous one; name another, such as postgresql+psycopg://")
    return engine


def address_of(url: str) -> sqlalchemy.URL:
    """Return a database's address; PostgreSQL uses psycopg unless another driver is named.

    Raises:
        SourceError: the address is invalid.
    """
    try:
        read = sqlalchemy.make_url(url)
    except (SQLAlchemyError, ValueError, TypeError) as error:
        raise told("this is not the address of a database", error) from None
    return read.set(drivername=_POSTGRESQL) if read.drivername in {"postgresql", "postgres"} else read


def place_of(engine: sqlalchemy.Engine) -> str:
    """Return a database's place for records: dialect, host and name, without user and password."""
    return f"{engine.url.get_backend_name()}://{engine.url.host or ''}/{engine.url.database or ''}"


def told(what: str, error: Exception) -> SourceError:
    """Return an error that names only the class of another."""
    return SourceError(f"{what} ({type(error).__name__}; its words may hold the address and are not shown)")


def _no_driver(url: sqlalchemy.URL, error: ImportError) -> str:
    if url.drivername == _POSTGRESQL and find_spec("psycopg") is None:
        return "PostgreSQL needs the extra: pip install 'secagg[postgres-source]'"
    backend = url.get_backend_name()
    return (
        f"the driver for {backend} is not installed: install the package {error.name}, or name another driver in the "
        f"address, {backend}+DRIVER://"
    )
