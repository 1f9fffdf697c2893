"""The coordinator's own tables beside its machine: its runs, the packages it keeps for the sites, and its sums."""

TABLES = (
    """CREATE TABLE IF NOT EXISTS package (
        machine TEXT NOT NULL,         -- UUID of its run
        kind    TEXT NOT NULL,         -- EncapsulationPackage, SharePackage or HeldLeaves
        site    INTEGER NOT NULL,      -- index of the site that it is for, or that sent it
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
        total     BLOB NOT NULL,       -- the sum, little-endian float64; empty where the sites keep it to themselves
        PRIMARY KEY (run, position)
    ) STRICT""",
    """CREATE TABLE IF NOT EXISTS run (
        run        TEXT PRIMARY KEY,   -- UUID
        project    TEXT NOT NULL,      -- UUID
        name       TEXT NOT NULL,      -- of the project
        terms      BLOB NOT NULL,      -- of the project, canonical bytes
        tasks      TEXT NOT NULL,      -- JSON: the specifications in order, as `parse_spec` reads them
        task       INTEGER,            -- place of the project's task that it carries out, from 0 on; NULL for none
        sites      TEXT NOT NULL,      -- JSON: keys of the sites that it begins with, in hex
        value_bits INTEGER NOT NULL,   -- bits of a value that leave room for all sites; part of what is asked
        quorum     INTEGER NOT NULL,   -- a sum over fewer sites is not asked for
        began      REAL NOT NULL,      -- seconds since 1970
        deadline   REAL NOT NULL,      -- when it is ended, whatever it is doing
        ended      REAL,               -- NULL while it is open
        repeats    TEXT,               -- UUID of the run that it repeats
        state      TEXT NOT NULL,      -- see relay.api.states.RunState
        reason     TEXT NOT NULL,      -- why it is in this state
        told       INTEGER NOT NULL,   -- the relay has this state, too
        wish       TEXT NOT NULL,      -- pause or cancel: what a command asks of the process that works on it
        position   INTEGER NOT NULL,   -- ID of the last message that it dealt with
        burnt      INTEGER NOT NULL,   -- number of the last epoch in which no round may be opened any more
        version    INTEGER NOT NULL,   -- counts what a standby has to know
        stored     INTEGER NOT NULL,   -- the version that stands in its last checkpoint
        stored_answers INTEGER NOT NULL,   -- how many answers stand in its checkpoints
        stored_entries INTEGER NOT NULL,   -- how many entries of its receipt
        stored_epoch   INTEGER NOT NULL    -- number of the last epoch whose packages stand there
    ) STRICT""",
    """CREATE TABLE turn (
        run       TEXT PRIMARY KEY,    -- UUID of a run in which a round is open
        position  INTEGER NOT NULL,    -- place of the round's query among the run's
        query     BLOB NOT NULL,       -- canonical bytes
        deadline  INTEGER NOT NULL,    -- seconds since 1970; the sites leave the round then
        seed      BLOB NOT NULL        -- what the round's later steps draw, so that a step done twice says the same
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
        kind   INTEGER NOT NULL,       -- of the entry, see `secagg.receipts.KINDS`
        body   BLOB NOT NULL,
        head   BLOB NOT NULL,          -- of the hash chain after this entry
        PRIMARY KEY (run, number)
    ) STRICT""",
)
