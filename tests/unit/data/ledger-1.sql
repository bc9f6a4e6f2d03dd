BEGIN TRANSACTION;
CREATE TABLE armed (uuid TEXT PRIMARY KEY, incarnation TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "armed" VALUES('25efc0bf-1659-4c83-b4e6-4e0e6d0f0b01','i1');
INSERT INTO "armed" VALUES('25efc0bf-1659-4c83-b4e6-4e0e6d0f0b02','i1');
CREATE TABLE delivery (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    incident_id INTEGER NOT NULL REFERENCES incident (id) ON DELETE CASCADE, backend TEXT NOT NULL,
    status TEXT NOT NULL CHECK (status IN ('pending', 'delivered', 'refused', 'expired')),
    generated_time TEXT NOT NULL,          -- what a resend must repeat exactly
    attempts INTEGER NOT NULL DEFAULT 0,
    sending INTEGER NOT NULL DEFAULT 0,    -- 1 from before an attempt until its result is known, also if we are killed
    uncertain INTEGER NOT NULL DEFAULT 0,  -- 1: an earlier attempt may have been accepted
    error TEXT NOT NULL DEFAULT '', reference TEXT NOT NULL DEFAULT '', finished TEXT,
    UNIQUE (incident_id, backend));
INSERT INTO "delivery" VALUES(1,1,'masakari','delivered','2026-11-20T05:00:01.000000+00:00',1,0,0,'','0d5d6aa0-9a4b-4d0e-bbe6-6d0e9a2a8f10','2026-11-20T05:00:02.000000+00:00');
INSERT INTO "delivery" VALUES(2,3,'masakari','pending','2026-11-20T05:00:04.000000+00:00',1,0,1,'masakari answers 503; it is tried again','',NULL);
CREATE TABLE incident (
    id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used again, so that an old number in a log stays unambiguous
    uuid TEXT NOT NULL, name TEXT NOT NULL, incarnation TEXT NOT NULL, verdict TEXT NOT NULL, action TEXT NOT NULL,
    opened TEXT NOT NULL, evidence TEXT NOT NULL, closed_at TEXT, closed_why TEXT);
INSERT INTO "incident" VALUES(1,'25efc0bf-1659-4c83-b4e6-4e0e6d0f0b01','instance-00000001','i1','hung','recover','2026-11-20T05:00:01.000000+00:00','{"silent":16.2,"kernel":"still"}','2026-11-20T05:00:03.000000+00:00','the guest was started again');
INSERT INTO "incident" VALUES(2,'25efc0bf-1659-4c83-b4e6-4e0e6d0f0b02','instance-00000002','i1','agent-down','record','2026-11-20T05:00:03.000000+00:00','{"closed":60.0}',NULL,NULL);
INSERT INTO "incident" VALUES(3,'25efc0bf-1659-4c83-b4e6-4e0e6d0f0b01','instance-00000001','i2','qemu-died','recover','2026-11-20T05:00:04.000000+00:00','{}',NULL,NULL);
CREATE UNIQUE INDEX incident_open ON incident (uuid, verdict, incarnation) WHERE closed_at IS NULL;
CREATE INDEX incident_of_guest ON incident (uuid);
CREATE INDEX delivery_by_status ON delivery (backend, status);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('incident',3);
INSERT INTO "sqlite_sequence" VALUES('delivery',2);
COMMIT;
PRAGMA user_version = 1;
