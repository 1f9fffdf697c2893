PRAGMA user_version = 4;
BEGIN TRANSACTION;
CREATE TABLE answer (
        run       TEXT NOT NULL,
        position  INTEGER NOT NULL,
        query     BLOB NOT NULL,
        round     INTEGER NOT NULL,
        ring_bits INTEGER NOT NULL,
        survivors TEXT NOT NULL,
        total     BLOB NOT NULL,
        PRIMARY KEY (run, position)
    ) STRICT;
INSERT INTO "answer" VALUES('00000000-0000-0000-0000-000000000002',0,X'7175657279',1,60,'["north", "south", "west"]',X'000000000000F03F0000000000000040');
INSERT INTO "answer" VALUES('00000000-0000-0000-0000-000000000004',0,X'7175657279',1,60,'["north", "south", "west"]',X'000000000000F03F0000000000000040');
CREATE TABLE epoch (
        run     TEXT NOT NULL,
        number  INTEGER NOT NULL,
        next    INTEGER NOT NULL,
        PRIMARY KEY (run, number)
    ) STRICT;
INSERT INTO "epoch" VALUES('00000000-0000-0000-0000-000000000002',1,9);
INSERT INTO "epoch" VALUES('00000000-0000-0000-0000-000000000004',1,9);
CREATE TABLE machine (
    name       TEXT PRIMARY KEY,
    generation INTEGER NOT NULL,
    sealed     BLOB NOT NULL
) STRICT;
INSERT INTO "machine" VALUES('00000000-0000-0000-0000-000000000004',1,X'E995B0694356C424E03AC2740BFDCE2B5EFC60DE33EA925495C8204C4BB51EC7365FB50AB12C1D61FF87C6E77F3D7A');
CREATE TABLE outbox (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    run        TEXT NOT NULL,
    recipient  BLOB,
    frame      BLOB NOT NULL,
    payload    TEXT,
    shared     INTEGER NOT NULL
) STRICT;
CREATE TABLE package (
        machine TEXT NOT NULL,
        kind    TEXT NOT NULL,
        site    INTEGER NOT NULL,
        data    BLOB NOT NULL,
        PRIMARY KEY (machine, kind, site)
    ) STRICT;
CREATE TABLE position (
    only       INTEGER PRIMARY KEY CHECK (only = 1),
    message    INTEGER NOT NULL
) STRICT;
INSERT INTO "position" VALUES(1,0);
CREATE TABLE run (
        run        TEXT PRIMARY KEY,
        project    TEXT NOT NULL,
        name       TEXT NOT NULL,
        terms      BLOB NOT NULL,
        tasks      TEXT NOT NULL,
        value_bits INTEGER NOT NULL,
        began      REAL NOT NULL,
        ended      REAL,
        outcome    TEXT NOT NULL
            DEFAULT 'open',
        detail     TEXT NOT NULL
            DEFAULT ''
    ) STRICT;
INSERT INTO "run" VALUES('00000000-0000-0000-0000-000000000002','00000000-0000-0000-0000-000000000001','lung',X'7B226E616D65223A20226C756E67227D','[{"analysis": "kaplan_meier", "dataset": "lung", "time": "time", "event": "status", "horizon": 1000, "interval": 50}]',53,1764000002.0,1764000102.0,'completed','');
INSERT INTO "run" VALUES('00000000-0000-0000-0000-000000000003','00000000-0000-0000-0000-000000000001','lung',X'7B226E616D65223A20226C756E67227D','[{"analysis": "kaplan_meier", "dataset": "lung", "time": "time", "event": "status", "horizon": 1000, "interval": 50}]',53,1764000003.0,1764000103.0,'failed','too few sites');
INSERT INTO "run" VALUES('00000000-0000-0000-0000-000000000004','00000000-0000-0000-0000-000000000001','lung',X'7B226E616D65223A20226C756E67227D','[{"analysis": "kaplan_meier", "dataset": "lung", "time": "time", "event": "status", "horizon": 1000, "interval": 50}]',53,1764000004.0,NULL,'open','');
DELETE FROM "sqlite_sequence";
COMMIT;
