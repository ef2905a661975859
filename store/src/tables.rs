//! The schema, the migrations that lead to it, and the settings of a connection.
//!
//! **Names are small integers.** Event ids, room ids, server names and state keys are long and
//! occur often, so each is written once, in a table of names, and stands everywhere else as the
//! integer of its row there. A name may be known before the thing it names: an edge may lead to an
//! event that is not held.
//!
//! **Rows of the graph are only ever added.** Two events with the same previous event, or two
//! states with the same parent, stand side by side; which of them counts is decided by the core,
//! never by a constraint.
//!
//! **Versions.** `user_version` counts the migrations that a database has been through. A released
//! migration is never edited; a change of the schema is another entry of [`MIGRATIONS`].

/// Marks a file as a database of Comity's: `CMTY` in ASCII.
pub(crate) const APPLICATION_ID: i64 = 0x434d_5459;

/// The steps from an empty database to the present schema. The first `user_version` of them have
/// been taken.
pub(crate) const MIGRATIONS: &[&str] = &[
    FIRST_SCHEMA,
    REDACTIONS,
    HEIGHTS,
    STAGING,
    CITATIONS,
    AUDIENCES,
    STAYS,
    INBOX,
    STREAMS,
    JOINS,
    TIMES,
    LOST_BEFORE,
    PUBLISHED_KEYS,
    TAKEN_JOINS,
];

/// Write-ahead log, and no answer before the disk has it. There is no memory map, because a disk
/// error in one is a signal instead of an error code.
pub(crate) const SETTINGS: &str = "
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA foreign_keys = ON;
    PRAGMA trusted_schema = OFF;
    PRAGMA busy_timeout = 5000;
    PRAGMA cache_size = -32768;
    PRAGMA wal_autocheckpoint = 1000;
    PRAGMA journal_size_limit = 67108864;
";

const FIRST_SCHEMA: &str = "
    -- The names.
    CREATE TABLE event_ids (
        event INTEGER PRIMARY KEY,
        event_id TEXT NOT NULL UNIQUE
    ) STRICT;
    CREATE TABLE servers (
        server INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE
    ) STRICT;
    CREATE TABLE state_keys (
        key INTEGER PRIMARY KEY,
        event_type TEXT NOT NULL,
        state_key TEXT NOT NULL,
        UNIQUE (event_type, state_key)
    ) STRICT;
    CREATE TABLE rooms (
        room INTEGER PRIMARY KEY,
        room_id TEXT NOT NULL UNIQUE,
        version TEXT NOT NULL,
        current INTEGER             -- a snapshot; NULL: only some of its events are held
    ) STRICT;

    -- Events and their graph.
    CREATE TABLE events (
        event INTEGER PRIMARY KEY,
        room INTEGER NOT NULL,
        depth INTEGER NOT NULL,
        verdict TEXT NOT NULL CHECK (verdict IN ('accepted', 'soft_failed', 'rejected')),
        reason TEXT,                -- why it was soft-failed or rejected
        state_before INTEGER,       -- snapshots; NULL: an outlier
        state_after INTEGER,
        position INTEGER,           -- NULL: not shown
        redacted_because INTEGER,   -- an event
        in_graph INTEGER NOT NULL
            AS (state_before IS NOT NULL AND verdict <> 'rejected') VIRTUAL,
        json TEXT NOT NULL,
        CHECK ((state_before IS NULL) = (state_after IS NULL)),
        CHECK ((reason IS NULL) = (verdict = 'accepted'))
    ) STRICT;
    CREATE UNIQUE INDEX timeline ON events (room, position) WHERE position IS NOT NULL;
    CREATE INDEX depths ON events (room, depth) WHERE in_graph;

    -- From the events of the graph, and from outliers that are shown, to their previous events,
    -- held or not.
    CREATE TABLE event_edges (
        event INTEGER NOT NULL,
        prev INTEGER NOT NULL,
        PRIMARY KEY (event, prev)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX event_edges_forward ON event_edges (prev);

    -- Where these edges end at an event that has none itself: the history to ask for. The depth is
    -- that of the shallowest event with an edge to it.
    CREATE TABLE backward_extremities (
        event INTEGER NOT NULL,
        room INTEGER NOT NULL,
        depth INTEGER NOT NULL,
        PRIMARY KEY (event, room)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX backward_extremities_by_depth ON backward_extremities (room, depth);

    -- From every event held to its auth events, held or not.
    CREATE TABLE event_auth (
        event INTEGER NOT NULL,
        auth INTEGER NOT NULL,
        PRIMARY KEY (event, auth)
    ) STRICT, WITHOUT ROWID;

    CREATE VIEW stored_events AS
        SELECT event,
            (SELECT event_id FROM event_ids WHERE event = events.event) AS event_id,
            room,
            (SELECT version FROM rooms WHERE room = events.room) AS version,
            depth, verdict, reason, state_before, state_after, position,
            (SELECT event_id FROM event_ids WHERE event = redacted_because) AS redacted_because,
            in_graph, json
        FROM events;

    -- The rooms we take part in.
    CREATE TABLE extremities (
        extremity INTEGER PRIMARY KEY,
        room INTEGER NOT NULL,
        event INTEGER NOT NULL,
        UNIQUE (room, event)
    ) STRICT;
    CREATE TABLE current_state (
        room INTEGER NOT NULL,
        key INTEGER NOT NULL,
        event INTEGER NOT NULL,
        membership TEXT,            -- of the event, if it is one of membership
        PRIMARY KEY (room, key)
    ) STRICT, WITHOUT ROWID;

    -- States, each as its difference from its parent. A parent is older than its children, so
    -- that the way up always ends.
    CREATE TABLE snapshots (
        snapshot INTEGER PRIMARY KEY,
        parent INTEGER REFERENCES snapshots CHECK (parent < snapshot)
    ) STRICT;
    CREATE TABLE snapshot_changes (
        snapshot INTEGER NOT NULL,
        key INTEGER NOT NULL,
        event INTEGER,              -- NULL: the parent's entry is gone
        PRIMARY KEY (snapshot, key)
    ) STRICT, WITHOUT ROWID;

    -- Our own users.
    CREATE TABLE memberships (
        user_id TEXT NOT NULL,
        room INTEGER NOT NULL,
        membership TEXT NOT NULL,
        event INTEGER NOT NULL REFERENCES events,
        position INTEGER NOT NULL,
        stripped_state TEXT NOT NULL,
        PRIMARY KEY (user_id, room)
    ) STRICT, WITHOUT ROWID;

    -- What goes to other servers.
    CREATE TABLE outgoing (
        server INTEGER NOT NULL,
        sequence INTEGER NOT NULL,
        event INTEGER NOT NULL REFERENCES events,
        PRIMARY KEY (server, sequence)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE destinations (
        server INTEGER PRIMARY KEY,
        failures INTEGER NOT NULL DEFAULT 0,
        retry_at INTEGER NOT NULL DEFAULT 0,
        transaction_id TEXT,        -- the transaction begun, if there is one
        through INTEGER,
        begun_at INTEGER,
        CHECK ((transaction_id IS NULL) = (through IS NULL)),
        CHECK ((transaction_id IS NULL) = (begun_at IS NULL))
    ) STRICT;

    -- What comes from other servers.
    CREATE TABLE received_transactions (
        server INTEGER NOT NULL,
        transaction_id TEXT NOT NULL,
        response BLOB NOT NULL,
        received_at INTEGER NOT NULL,
        PRIMARY KEY (server, transaction_id)
    ) STRICT, WITHOUT ROWID;
    CREATE INDEX received_transactions_by_time ON received_transactions (received_at);
    CREATE TABLE server_keys (
        server INTEGER NOT NULL,
        key_id TEXT NOT NULL,
        public BLOB NOT NULL CHECK (length(public) = 32),
        valid_until INTEGER NOT NULL,
        retired INTEGER NOT NULL CHECK (retired IN (0, 1)),
        PRIMARY KEY (server, key_id)
    ) STRICT, WITHOUT ROWID;

    -- Commands that have had their effect.
    CREATE TABLE once (
        key TEXT PRIMARY KEY,
        event INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;

    -- How often the core was started, how many events are stored, and the extremes of the numbers
    -- that the core has ever chosen.
    CREATE TABLE counters (
        name TEXT PRIMARY KEY,
        value INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
    INSERT INTO counters (name, value) VALUES
        ('starts', 0),
        ('events', 0),
        ('last_snapshot', 0),
        ('newest_position', 0),
        ('oldest_position', 0),
        ('last_sequence', 0);
    CREATE TRIGGER count_event AFTER INSERT ON events BEGIN
        UPDATE counters SET value = value + 1 WHERE name = 'events';
    END;
";

/// Room versions up to 10 name the target of a redaction at the top level, later ones in the content.
const REDACTIONS: &str = "
    -- From redactions to what they ask to redact, held or not.
    CREATE TABLE redactions (
        target INTEGER NOT NULL,
        event INTEGER NOT NULL,
        PRIMARY KEY (target, event)
    ) STRICT, WITHOUT ROWID;
    CREATE TEMP TABLE redactions_held AS
        SELECT event, iif(room_version IN ('11', '12'), in_content, at_top) AS target
        FROM (
            SELECT event, json_extract(json, '$.content.redacts') AS in_content,
                json_extract(json, '$.redacts') AS at_top,
                (SELECT version FROM rooms WHERE room = events.room) AS room_version
            FROM events
            WHERE json_extract(json, '$.type') = 'm.room.redaction'
        )
        WHERE typeof(target) = 'text';
    INSERT OR IGNORE INTO event_ids (event_id) SELECT target FROM redactions_held;
    INSERT OR IGNORE INTO redactions (target, event)
        SELECT event_ids.event, redactions_held.event
        FROM redactions_held JOIN event_ids ON event_id = target;
    DROP TABLE redactions_held;
";

/// Snapshots that were there before all have the height 0, and stay below their parents.
const HEIGHTS: &str = "
    -- How many snapshots were made one from the other up to this one. Its parent here is the
    -- nearest of them whose height has fewer binary ones.
    ALTER TABLE snapshots ADD COLUMN height INTEGER NOT NULL DEFAULT 0;
    CREATE INDEX members_by_server ON state_keys (substr(state_key, instr(state_key, ':') + 1))
        WHERE event_type = 'm.room.member';
";

/// Events that cannot be judged yet.
const STAGING: &str = "
    CREATE TABLE staged (
        staged INTEGER PRIMARY KEY AUTOINCREMENT,
        event_id TEXT NOT NULL,
        server INTEGER NOT NULL,    -- who sent it
        version TEXT NOT NULL,
        stage TEXT NOT NULL CHECK (stage IN ('received', 'verified')),
        received_at INTEGER NOT NULL,
        json TEXT NOT NULL,
        UNIQUE (event_id, server)
    ) STRICT;
";

/// An event of the state rests on state events only, so that the many other events that cite one
/// need not be found.
const CITATIONS: &str = "
    -- To events, held or not, from the state events that name them among their auth events.
    CREATE TABLE citations (
        auth INTEGER NOT NULL,
        event INTEGER NOT NULL,
        PRIMARY KEY (auth, event)
    ) STRICT, WITHOUT ROWID;
    INSERT INTO citations (auth, event)
        SELECT auth, event FROM events CROSS JOIN event_auth USING (event)
        WHERE json_type(json, '$.state_key') = 'text';
";

/// One row per event that goes out, and a cursor per destination, instead of a row for both.
const AUDIENCES: &str = "
    -- Sets of servers that something goes to.
    CREATE TABLE audiences (
        audience INTEGER PRIMARY KEY
    ) STRICT;
    CREATE TABLE audience_members (
        audience INTEGER NOT NULL,
        server INTEGER NOT NULL,
        PRIMARY KEY (audience, server)
    ) STRICT, WITHOUT ROWID;
    CREATE UNIQUE INDEX audiences_of_server ON audience_members (server, audience);

    -- What goes out: an event, or the text of an ephemeral message that must not be lost.
    ALTER TABLE outgoing RENAME TO outgoing_by_server;
    CREATE TABLE outgoing (
        sequence INTEGER PRIMARY KEY,
        audience INTEGER NOT NULL REFERENCES audiences,
        queued_at INTEGER NOT NULL,
        event INTEGER REFERENCES events,
        edu TEXT,
        CHECK ((event IS NULL) <> (edu IS NULL))
    ) STRICT;
    CREATE INDEX outgoing_by_audience ON outgoing (audience, sequence);

    -- How far along each server is. Of what comes after the cursor, and after the transaction
    -- begun, it has lost what was given up.
    ALTER TABLE destinations RENAME TO destinations_before;
    CREATE TABLE destinations (
        server INTEGER PRIMARY KEY,
        acknowledged INTEGER NOT NULL DEFAULT 0,
        events_lost INTEGER NOT NULL DEFAULT 0,
        edus_lost INTEGER NOT NULL DEFAULT 0,
        failures INTEGER NOT NULL DEFAULT 0,
        retry_at INTEGER NOT NULL DEFAULT 0,
        transaction_id TEXT,        -- the transaction begun, if there is one
        through INTEGER,
        begun_at INTEGER,
        CHECK ((transaction_id IS NULL) = (through IS NULL)),
        CHECK ((transaction_id IS NULL) = (begun_at IS NULL))
    ) STRICT;
    CREATE VIEW owed AS
        SELECT server, sequence, audience, queued_at, event, edu
        FROM audience_members
        JOIN destinations USING (server)
        JOIN outgoing USING (audience)
        WHERE sequence > acknowledged
            AND (sequence <= coalesce(through, 0)
                OR sequence > iif(event IS NULL, edus_lost, events_lost));

    -- What was queued before.
    INSERT INTO destinations (server, failures, retry_at, transaction_id, through, begun_at)
        SELECT server, failures, retry_at, transaction_id, through, begun_at
        FROM destinations_before;
    INSERT OR IGNORE INTO destinations (server) SELECT DISTINCT server FROM outgoing_by_server;
    CREATE TEMP TABLE queued_before AS
        SELECT sequence, event, group_concat(server) AS servers
        FROM (SELECT * FROM outgoing_by_server ORDER BY sequence, server)
        GROUP BY sequence;
    CREATE TEMP TABLE audiences_before AS
        SELECT servers, min(sequence) AS sequence,
            row_number() OVER (ORDER BY min(sequence)) AS audience
        FROM queued_before GROUP BY servers;
    INSERT INTO audiences (audience) SELECT audience FROM audiences_before;
    INSERT INTO audience_members (audience, server)
        SELECT audience, server FROM audiences_before JOIN outgoing_by_server USING (sequence);
    INSERT INTO outgoing (sequence, audience, queued_at, event)
        SELECT queued_before.sequence, audience, unixepoch() * 1000, event
        FROM queued_before JOIN audiences_before USING (servers);
    DROP TABLE queued_before;
    DROP TABLE audiences_before;
    DROP TABLE outgoing_by_server;
    DROP TABLE destinations_before;
    INSERT INTO counters (name, value) VALUES
        ('last_audience', (SELECT coalesce(max(audience), 0) FROM audiences)),
        ('sent_forgotten', 0);      -- how far the present look through the queue has come
";

/// Of the rooms that are there it is not known when we came: their whole graph counts.
const STAYS: &str = "
    -- The depth of the event with which we came to be in the room.
    ALTER TABLE rooms ADD COLUMN least_depth INTEGER NOT NULL DEFAULT 0;
    UPDATE rooms SET least_depth = (
        SELECT coalesce(min(depth), 0) FROM events WHERE room = rooms.room AND in_graph
    );
";

/// What must not be lost on its way to the application.
const INBOX: &str = "
    CREATE TABLE inbox (
        entry INTEGER PRIMARY KEY,
        server INTEGER NOT NULL,
        type TEXT NOT NULL,
        content TEXT,               -- NULL: acknowledged
        name TEXT,                  -- the sender's name for it, if its type has names
        received_at INTEGER NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX inbox_names ON inbox (server, name) WHERE name IS NOT NULL;
    CREATE INDEX inbox_waiting ON inbox (server) WHERE content IS NOT NULL;
    CREATE INDEX inbox_acknowledged ON inbox (received_at) WHERE content IS NULL;
    INSERT INTO counters (name, value) VALUES ('last_inbox', 0);
";

/// A user id ends with the name of its server, after the first colon.
const STREAMS: &str = "
    -- Which servers have, or once had, a user joined in which rooms.
    CREATE TABLE room_servers (
        server INTEGER NOT NULL,
        room INTEGER NOT NULL,
        PRIMARY KEY (server, room)
    ) STRICT, WITHOUT ROWID;
    CREATE TEMP TABLE joined AS
        SELECT DISTINCT room, substr(state_key, instr(state_key, ':') + 1) AS name
        FROM current_state JOIN state_keys USING (key)
        WHERE membership = 'join';
    INSERT OR IGNORE INTO servers (name) SELECT name FROM joined;
    INSERT OR IGNORE INTO room_servers (server, room)
        SELECT server, room FROM joined JOIN servers USING (name);
    DROP TABLE joined;

    -- New events in the order in which they came, whatever their room.
    CREATE INDEX stream ON events (position) WHERE position > 0;

    -- Where we stand in other servers' streams.
    CREATE TABLE peer_streams (
        server INTEGER PRIMARY KEY,
        asked_at INTEGER NOT NULL,
        pull_after TEXT,            -- NULL: it offers none
        end TEXT,
        looked_at INTEGER,
        CHECK ((pull_after IS NULL) = (end IS NULL)),
        CHECK ((pull_after IS NULL) = (looked_at IS NULL))
    ) STRICT;
";

/// What may have succeeded without our knowing.
const JOINS: &str = "
    CREATE TABLE joins (
        room_id TEXT PRIMARY KEY,   -- not yet a room that we take part in
        event_id TEXT NOT NULL,
        version TEXT NOT NULL,
        json TEXT NOT NULL,
        server INTEGER NOT NULL,    -- to which it was handed in
        others TEXT NOT NULL,       -- as JSON
        content TEXT NOT NULL,      -- as JSON
        starts INTEGER NOT NULL
    ) STRICT;
";

/// When an event says that it was sent is read from its text: it stands nowhere else.
const TIMES: &str = "
    CREATE INDEX times ON events (room, json ->> '$.origin_server_ts', position)
        WHERE position IS NOT NULL;
";

/// A transaction holds what was not given up when it was begun, neither less nor more.
const LOST_BEFORE: &str = "
    ALTER TABLE destinations ADD COLUMN events_lost_before INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE destinations ADD COLUMN edus_lost_before INTEGER NOT NULL DEFAULT 0;
    DROP VIEW owed;
    CREATE VIEW owed AS
        SELECT server, sequence, audience, queued_at, event, edu
        FROM audience_members
        JOIN destinations USING (server)
        JOIN outgoing USING (audience)
        WHERE sequence > acknowledged
            AND sequence > iif(sequence <= coalesce(through, 0),
                iif(event IS NULL, edus_lost_before, events_lost_before),
                iif(event IS NULL, edus_lost, events_lost));
";

/// A notary vouches for keys with the object in which their server published them.
const PUBLISHED_KEYS: &str = "
    CREATE TABLE published_keys (
        server INTEGER PRIMARY KEY,
        json TEXT NOT NULL,
        fetched INTEGER NOT NULL,
        valid_until INTEGER NOT NULL
    ) STRICT;
";

/// A server may take a join without telling who is in the room.
const TAKEN_JOINS: &str = "
    ALTER TABLE joins ADD COLUMN in_room TEXT;      -- servers, as JSON; NULL: not known to be taken
    ALTER TABLE joins ADD COLUMN taken_at INTEGER;
";
