"""The coordinator's own tables: its runs, the packages it keeps for the sites, and its sums."""

TABLES = (
    """CREATE TABLE IF NOT EXISTS package (
        machine TEXT NOT NULL,         -- UUID of its run
        kind    TEXT NOT NULL,         -- EncapsulationPackage, SharePackage or HeldLeaves
        site    INTEGER NOT NULL,      -- index of its addressee or sender
        data    BLOB NOT NULL,
        PRIMARY KEY (machine, kind, site)
    ) STRICT""",
    """CREATE TABLE IF NOT EXISTS epoch (
        run     TEXT NOT NULL,         -- UUID
        number  INTEGER NOT NULL,      -- counts the epochs of the run from 1
        next    INTEGER NOT NULL,      -- number of the first round that the next epoch may use
        PRIMARY KEY (run, number)
    ) STRICT""",
    """CREATE TABLE IF NOT EXISTS answer (
        run       TEXT NOT NULL,       -- UUID
        position  INTEGER NOT NULL,    -- counts the run's queries from 0
        query     BLOB NOT NULL,       -- canonical bytes
        round     INTEGER NOT NULL,
        ring_bits INTEGER NOT NULL,    -- bits of an element of the masked vectors
        survivors TEXT NOT NULL,       -- JSON: names of the sites in the sum
        total     BLOB NOT NULL,       -- the sum, little-endian float64; empty if the sites keep it to themselves
        PRIMARY KEY (run, position)
    ) STRICT""",
    """CREATE TABLE IF NOT EXISTS run (
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
    ) STRICT""",
    """CREATE TABLE turn (
        run       TEXT PRIMARY KEY,    -- UUID of a run in which a round is open
        position  INTEGER NOT NULL,    -- position of the round's query among the run's
        query     BLOB NOT NULL,       -- canonical bytes
        deadline  INTEGER NOT NULL,    -- seconds since 1970; the sites leave the round then
        seed      BLOB NOT NULL        -- seed of the round's later steps, so that a repeated step gives the same bytes
    ) STRICT""",
    """CREATE TABLE upload (
        run       TEXT NOT NULL,       -- UUID
        site      INTEGER NOT NULL,    -- index of a site whose vector is in the total of the open round
        frame     BLOB NOT NULL,       -- its signed frame
        payload   TEXT NOT NULL,       -- ID of the payload at the relay
        PRIMARY KEY (run, site)
    ) STRICT""",
    """CREATE TABLE IF NOT EXISTS receipt (
        run    TEXT NOT NULL,          -- UUID
        number INTEGER NOT NULL,       -- counts the entries of the run's receipt from 1
        kind   INTEGER NOT NULL,       -- kind of the entry, see `secagg.receipts.KINDS`
        body   BLOB NOT NULL,
        head   BLOB NOT NULL,          -- head of the hash chain after this entry
        PRIMARY KEY (run, number)
    ) STRICT""",
)
