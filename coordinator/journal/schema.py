"""Coordinator tables in the journal, by numbered migrations: published ones never change, a change is a new one."""

import sqlite3

from relay.party.migrations import Migrations, columns

_RUN = """CREATE TABLE IF NOT EXISTS run (
    run        TEXT PRIMARY KEY,   -- UUID
    project    TEXT NOT NULL,      -- UUID
    name       TEXT NOT NULL,      -- name of the project
    terms      BLOB NOT NULL,      -- terms of the project, canonical bytes
    tasks      TEXT NOT NULL,      -- JSON: specifications in order, as `parse_spec` reads them
    task       INTEGER,            -- index of the project task that it executes, from 0; NULL for none
    sites      TEXT NOT NULL,      -- JSON: keys of the sites that the run begins with, in hex
    value_bits INTEGER NOT NULL,   -- bits of a value that leave room for all sites; part of every query
    quorum     INTEGER NOT NULL,   -- least number of sites in a sum
    began      REAL NOT NULL,      -- seconds since 1970
    deadline   REAL NOT NULL,      -- time at which the run is ended in any case
    ended      REAL,               -- NULL while the run is open
    repeats    TEXT,               -- UUID of the run that this one reruns
    state      TEXT NOT NULL,      -- see relay.api.states.RunState
    reason     TEXT NOT NULL,      -- reason for this state
    told       INTEGER NOT NULL,   -- whether the relay knows this state
    wish       TEXT NOT NULL,      -- pause or cancel: what a command asks the executing process to do
    position   INTEGER NOT NULL,   -- ID of the last message that the run has processed
    burnt      INTEGER NOT NULL,   -- number of the last epoch in which no further round may be opened
    version    INTEGER NOT NULL,   -- counts the changes that a standby must know
    stored     INTEGER NOT NULL,   -- version in the last checkpoint
    stored_answers INTEGER NOT NULL,   -- number of answers in the checkpoints
    stored_entries INTEGER NOT NULL,   -- number of the receipt's entries there
    stored_epoch   INTEGER NOT NULL    -- number of the last epoch whose packages are there
) STRICT"""
_TURN = """CREATE TABLE turn (
    run       TEXT PRIMARY KEY,    -- UUID of a run in which a round is open
    position  INTEGER NOT NULL,    -- position of the round's query among the run's
    query     BLOB NOT NULL,       -- canonical bytes
    deadline  INTEGER NOT NULL,    -- seconds since 1970; the sites leave the round then
    seed      BLOB NOT NULL        -- seed of the round's later steps, so that a repeated step gives the same bytes
) STRICT"""


def _mend_early_runs(connection: sqlite3.Connection) -> None:
    """Give `run` its present columns in a journal that early releases wrote.

    Tables 4 and 5 had another `run`, and no migration changed it; such a journal also lacks `turn` if it was at 5.
    A run that was open then cannot continue: its deadline counts as passed, so that the next look at all runs ends it.
    """
    connection.execute(_TURN.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS"))
    if "outcome" not in columns(connection, "run"):
        return
    connection.execute("ALTER TABLE run RENAME TO early_run")
    connection.execute(_RUN)
    connection.execute(
        """INSERT INTO run
        SELECT run, project, name, terms, tasks, NULL, '[]', value_bits, 0, began, began, ended, NULL,
            CASE outcome WHEN 'open' THEN 'running' ELSE outcome END, detail, outcome <> 'open', '', 0, 0, 1, 0, 0, 0, 0
        FROM early_run"""
    )
    connection.execute("DROP TABLE early_run")


TABLES: Migrations = {
    1: """CREATE TABLE IF NOT EXISTS package (
        machine TEXT NOT NULL,         -- UUID of its run
        kind    TEXT NOT NULL,         -- EncapsulationPackage, SharePackage or HeldLeaves
        site    INTEGER NOT NULL,      -- index of its addressee or sender
        data    BLOB NOT NULL,
        PRIMARY KEY (machine, kind, site)
    ) STRICT""",
    2: """CREATE TABLE IF NOT EXISTS epoch (
        run     TEXT NOT NULL,         -- UUID
        number  INTEGER NOT NULL,      -- counts the epochs of the run from 1
        next    INTEGER NOT NULL,      -- number of the first round that the next epoch may use
        PRIMARY KEY (run, number)
    ) STRICT""",
    3: """CREATE TABLE IF NOT EXISTS answer (
        run       TEXT NOT NULL,       -- UUID
        position  INTEGER NOT NULL,    -- counts the run's queries from 0
        query     BLOB NOT NULL,       -- canonical bytes
        round     INTEGER NOT NULL,
        ring_bits INTEGER NOT NULL,    -- bits of an element of the masked vectors
        survivors TEXT NOT NULL,       -- JSON: names of the sites in the sum
        total     BLOB NOT NULL,       -- the sum, little-endian float64; empty if the sites keep it to themselves
        PRIMARY KEY (run, position)
    ) STRICT""",
    4: _RUN,
    5: _TURN,
    6: """CREATE TABLE upload (
        run       TEXT NOT NULL,       -- UUID
        site      INTEGER NOT NULL,    -- index of a site whose vector is in the total of the open round
        frame     BLOB NOT NULL,       -- its signed frame
        payload   TEXT NOT NULL,       -- ID of the payload at the relay
        PRIMARY KEY (run, site)
    ) STRICT""",
    7: """CREATE TABLE IF NOT EXISTS receipt (
        run    TEXT NOT NULL,          -- UUID
        number INTEGER NOT NULL,       -- counts the entries of the run's receipt from 1
        kind   INTEGER NOT NULL,       -- kind of the entry, see `secagg.receipts.KINDS`
        body   BLOB NOT NULL,
        head   BLOB NOT NULL,          -- head of the hash chain after this entry
        PRIMARY KEY (run, number)
    ) STRICT""",
    8: _mend_early_runs,
    9: """CREATE TABLE standing (
        run    TEXT NOT NULL,          -- UUID
        site   TEXT NOT NULL,          -- name of the site
        how    TEXT NOT NULL,          -- see coordinator.journal.standings.How
        round  INTEGER NOT NULL,       -- number of the round concerned, 0 during setup
        reason TEXT NOT NULL,          -- reason that the site gave, or what it did not send
        until  REAL,                   -- the run waits for the site until then, seconds since 1970
        since  REAL NOT NULL,          -- time at which this was noted
        PRIMARY KEY (run, site)
    ) STRICT""",
    10: """CREATE TABLE figure (
        series TEXT PRIMARY KEY,       -- JSON: name and labels of a counter
        value  REAL NOT NULL           -- count of ended processes that the standing one has not taken yet
    ) STRICT""",
}
