-- Lines of one window, one command and one pattern lie together, so that a question about one of these reads nothing else, and a line
-- needn't say them.
DROP VIEW monitor_logs;
DROP VIEW monitor_samples;
DROP VIEW all_lines;
DROP VIEW window_patterns;
DROP INDEX chunks_by_window;
ALTER TABLE chunks RENAME TO former_chunks;
ALTER TABLE lines RENAME TO former_lines;
ALTER TABLE line_texts RENAME TO former_texts;
ALTER TABLE patterns RENAME TO former_patterns;

-- Lines without a key have the pattern 0, which has no name.
CREATE TABLE patterns (id INTEGER PRIMARY KEY, name TEXT UNIQUE);
INSERT INTO patterns VALUES (0, NULL);
INSERT INTO patterns SELECT id, name FROM former_patterns;

CREATE TABLE chunks (
    id INTEGER PRIMARY KEY,
    window INTEGER NOT NULL REFERENCES windows,
    command INTEGER NOT NULL REFERENCES commands,
    pattern INTEGER NOT NULL REFERENCES patterns,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    began INTEGER NOT NULL
);
CREATE TABLE lines (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    client INTEGER NOT NULL,
    port INTEGER,
    key TEXT
);
CREATE TABLE line_texts (id INTEGER PRIMARY KEY, args TEXT NOT NULL, raw_line TEXT NOT NULL);

CREATE TABLE moved AS
SELECT row_number() OVER (ORDER BY window, command, coalesce(pattern, 0), began + at, former_lines.id) AS id,
    former_lines.id AS was, window, command, coalesce(pattern, 0) AS pattern, began + at AS at, client, port, key
FROM former_chunks CROSS JOIN former_lines ON former_lines.id BETWEEN former_chunks.first AND former_chunks.last
ORDER BY id;
INSERT INTO chunks (window, command, pattern, first, last, began)
SELECT window, command, pattern, min(id), max(id), min(at) FROM moved GROUP BY window, command, pattern ORDER BY min(id);
INSERT INTO lines (id, at, client, port, key)
SELECT moved.id, moved.at - chunks.began, client, port, key
FROM chunks CROSS JOIN moved ON moved.rowid BETWEEN chunks.first AND chunks.last;
INSERT INTO line_texts SELECT moved.id, args, raw_line FROM moved CROSS JOIN former_texts ON former_texts.id = moved.was;
DROP TABLE moved;
DROP TABLE former_texts;
DROP TABLE former_lines;
DROP TABLE former_chunks;
DROP TABLE former_patterns;

CREATE INDEX chunks_by_window ON chunks (window);
CREATE INDEX chunks_by_command ON chunks (command);
CREATE INDEX chunks_by_pattern ON chunks (pattern);

-- What the planner should believe of every archive, also of one that is nearly empty; lines always come last.
ANALYZE sqlite_schema;
DELETE FROM sqlite_stat1;
INSERT INTO sqlite_stat1 VALUES
    ('sessions', 'sessions_by_time', '3000 1'),
    ('windows', 'windows_by_session', '10000 3'),
    ('windows', 'windows_by_time', '10000 1'),
    ('commands', 'sqlite_autoindex_commands_1', '200 1'),
    ('patterns', 'sqlite_autoindex_patterns_1', '2000 1'),
    ('clients', 'sqlite_autoindex_clients_1', '1000 1'),
    ('chunks', 'chunks_by_window', '500000 50'),
    ('chunks', 'chunks_by_command', '500000 2500'),
    ('chunks', 'chunks_by_pattern', '500000 250'),
    ('lines', NULL, '10000000');

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
    commands.name AS command,
    lines.key AS key,
    patterns.name AS key_pattern,
    (SELECT args FROM line_texts WHERE line_texts.id = lines.id) AS args,
    (SELECT raw_line FROM line_texts WHERE line_texts.id = lines.id) AS raw_line,
    strftime('%Y-%m-%dT%H:%M:%S', windows.closed / 1000000, 'unixepoch') AS collection_time
FROM sessions
    JOIN windows ON windows.session = sessions.id
    JOIN chunks ON chunks.window = windows.id
    JOIN commands ON commands.id = chunks.command
    JOIN patterns ON patterns.id = chunks.pattern
    CROSS JOIN lines ON lines.id BETWEEN chunks.first AND chunks.last;

CREATE VIEW monitor_logs AS
SELECT id, cluster_id, shard_name, timestamp, datetime_utc, client_address, client_ip, command, key, key_pattern, args, raw_line,
    collection_time
FROM all_lines WHERE complete;

CREATE VIEW monitor_samples AS
SELECT id, cluster_id, shard_name, timestamp, datetime_utc, client_address, client_ip, command, key, key_pattern, args, raw_line,
    collection_time, sample_rate
FROM all_lines WHERE NOT complete;

CREATE VIEW window_patterns AS
SELECT all_windows.*, (SELECT name FROM patterns WHERE patterns.id = pattern_counts.pattern) AS key_pattern, count, error,
    example AS example_key
FROM all_windows CROSS JOIN pattern_counts ON pattern_counts.window = window_id;

-- Parts of keys that vary, as they were learned: kept over restarts.
CREATE TABLE learned_segments (
    cluster TEXT NOT NULL, region TEXT NOT NULL, segment TEXT NOT NULL, PRIMARY KEY (cluster, region, segment)
) WITHOUT ROWID;
