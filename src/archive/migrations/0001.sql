-- What was watched. Times are microseconds since the epoch, by our clock unless said otherwise.
CREATE TABLE sessions (
    id INTEGER PRIMARY KEY,
    cluster TEXT NOT NULL,
    region TEXT NOT NULL,
    source TEXT NOT NULL,
    opened INTEGER NOT NULL,
    closed INTEGER NOT NULL,
    -- Whether every line of every window is kept.
    complete INTEGER NOT NULL,
    config TEXT NOT NULL
);
CREATE INDEX sessions_by_time ON sessions (closed);

CREATE TABLE windows (
    id INTEGER PRIMARY KEY,
    session INTEGER NOT NULL REFERENCES sessions,
    shard TEXT NOT NULL,
    node TEXT NOT NULL,
    role TEXT NOT NULL,
    opened INTEGER NOT NULL,
    closed INTEGER NOT NULL,
    ended_by TEXT NOT NULL,
    bytes_read INTEGER NOT NULL,
    lines INTEGER NOT NULL,
    commands INTEGER NOT NULL,
    replicated INTEGER NOT NULL,
    reads INTEGER NOT NULL,
    writes INTEGER NOT NULL,
    -- By the server's clock.
    first_line INTEGER,
    last_line INTEGER,
    key_touches INTEGER NOT NULL,
    cut_keys INTEGER NOT NULL,
    distinct_keys INTEGER NOT NULL,
    distinct_clients INTEGER NOT NULL,
    completeness REAL,
    reads_coverage REAL,
    writes_coverage REAL,
    server_buffer_peak INTEGER,
    -- Lines kept over lines seen.
    sample_rate REAL NOT NULL
);
CREATE INDEX windows_by_session ON windows (session);
CREATE INDEX windows_by_time ON windows (closed);

-- Names that occur again and again.
CREATE TABLE commands (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE patterns (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE clients (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);

-- Counts of whole windows, whether or not their lines are kept.
CREATE TABLE command_counts (
    window INTEGER NOT NULL, command INTEGER NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (window, command)
) WITHOUT ROWID;
CREATE TABLE pattern_counts (
    window INTEGER NOT NULL, pattern INTEGER NOT NULL, count INTEGER NOT NULL, error INTEGER NOT NULL, example TEXT NOT NULL,
    PRIMARY KEY (window, pattern)
) WITHOUT ROWID;
CREATE TABLE signature_counts (
    window INTEGER NOT NULL, signature TEXT NOT NULL, count INTEGER NOT NULL, error INTEGER NOT NULL, full_scan INTEGER NOT NULL,
    PRIMARY KEY (window, signature)
) WITHOUT ROWID;
CREATE TABLE key_counts (
    window INTEGER NOT NULL, key TEXT NOT NULL, count INTEGER NOT NULL, error INTEGER NOT NULL, slot INTEGER NOT NULL,
    PRIMARY KEY (window, key)
) WITHOUT ROWID;
CREATE TABLE hash_tag_counts (
    window INTEGER NOT NULL, hash_tag TEXT NOT NULL, count INTEGER NOT NULL, error INTEGER NOT NULL,
    PRIMARY KEY (window, hash_tag)
) WITHOUT ROWID;
CREATE TABLE client_counts (
    window INTEGER NOT NULL, client INTEGER NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (window, client)
) WITHOUT ROWID;
CREATE TABLE slot_counts (
    window INTEGER NOT NULL, slot INTEGER NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (window, slot)
) WITHOUT ROWID;
CREATE TABLE rejection_counts (
    window INTEGER NOT NULL, reason TEXT NOT NULL, count INTEGER NOT NULL, PRIMARY KEY (window, reason)
) WITHOUT ROWID;

-- Single lines lie in the order in which they were written. A chunk is a run of one window's lines, so that a line needn't say
-- whose it is and needs no index; its time counts from the chunk's. Keys stand where they are: most of them occur once.
CREATE TABLE chunks (
    id INTEGER PRIMARY KEY,
    window INTEGER NOT NULL REFERENCES windows,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    began INTEGER NOT NULL
);
CREATE INDEX chunks_by_window ON chunks (window);
CREATE TABLE lines (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    client INTEGER NOT NULL,
    port INTEGER,
    command INTEGER NOT NULL,
    pattern INTEGER,
    key TEXT
);
CREATE TABLE line_texts (id INTEGER PRIMARY KEY, args TEXT NOT NULL, raw_line TEXT NOT NULL);

-- What people ask.
CREATE VIEW all_lines AS
SELECT lines.id AS id,
    sessions.id AS session_id,
    windows.id AS window_id,
    sessions.complete AS complete,
    windows.sample_rate AS sample_rate,
    sessions.cluster AS cluster_id,
    windows.shard AS shard_name,
    (chunks.began + lines.at) / 1e6 AS timestamp,
    strftime('%Y-%m-%dT%H:%M:%S', (chunks.began + lines.at) / 1000000, 'unixepoch')
        || printf('.%06d', (chunks.began + lines.at) % 1000000) AS datetime_utc,
    (SELECT name FROM clients WHERE clients.id = lines.client) || coalesce(':' || lines.port, '') AS client_address,
    (SELECT name FROM clients WHERE clients.id = lines.client) AS client_ip,
    (SELECT name FROM commands WHERE commands.id = lines.command) AS command,
    lines.key AS key,
    (SELECT name FROM patterns WHERE patterns.id = lines.pattern) AS key_pattern,
    (SELECT args FROM line_texts WHERE line_texts.id = lines.id) AS args,
    (SELECT raw_line FROM line_texts WHERE line_texts.id = lines.id) AS raw_line,
    strftime('%Y-%m-%dT%H:%M:%S', windows.closed / 1000000, 'unixepoch') AS collection_time
FROM sessions
    CROSS JOIN windows ON windows.session = sessions.id
    CROSS JOIN chunks ON chunks.window = windows.id
    CROSS JOIN lines ON lines.id BETWEEN chunks.first AND chunks.last;

CREATE VIEW monitor_logs AS
SELECT id, cluster_id, shard_name, timestamp, datetime_utc, client_address, client_ip, command, key, key_pattern, args, raw_line,
    collection_time
FROM all_lines WHERE complete;

CREATE VIEW monitor_samples AS
SELECT id, cluster_id, shard_name, timestamp, datetime_utc, client_address, client_ip, command, key, key_pattern, args, raw_line,
    collection_time, sample_rate
FROM all_lines WHERE NOT complete;

CREATE VIEW monitoring_sessions AS
SELECT id,
    cluster AS cluster_id,
    opened / 1e6 AS start_time,
    closed / 1e6 AS end_time,
    (closed - opened) / 1e6 AS duration_seconds,
    (SELECT count(DISTINCT shard) FROM windows WHERE session = sessions.id) AS num_shards,
    (SELECT coalesce(sum(commands), 0) FROM windows WHERE session = sessions.id) AS total_commands,
    config
FROM sessions;

CREATE VIEW all_windows AS
SELECT windows.id AS window_id, sessions.id AS session_id, sessions.cluster AS cluster_id, windows.shard AS shard_name,
    windows.opened / 1e6 AS start_time, windows.closed / 1e6 AS end_time, windows.commands AS window_total,
    windows.key_touches AS window_touches
FROM sessions CROSS JOIN windows ON windows.session = sessions.id;

CREATE VIEW window_commands AS
SELECT all_windows.*, (SELECT name FROM commands WHERE commands.id = command_counts.command) AS command, count
FROM all_windows CROSS JOIN command_counts ON command_counts.window = window_id;

CREATE VIEW window_patterns AS
SELECT all_windows.*, (SELECT name FROM patterns WHERE patterns.id = pattern_counts.pattern) AS key_pattern, count, error,
    example AS example_key
FROM all_windows CROSS JOIN pattern_counts ON pattern_counts.window = window_id;

CREATE VIEW window_keys AS
SELECT all_windows.*, key, count, error, slot FROM all_windows CROSS JOIN key_counts ON key_counts.window = window_id;

CREATE VIEW window_clients AS
SELECT all_windows.*, (SELECT name FROM clients WHERE clients.id = client_counts.client) AS client_ip, count
FROM all_windows CROSS JOIN client_counts ON client_counts.window = window_id;

CREATE VIEW window_slots AS
SELECT all_windows.*, slot, count FROM all_windows CROSS JOIN slot_counts ON slot_counts.window = window_id;
