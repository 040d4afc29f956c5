-- The last day, since the epoch, on which a window had the name: names that no window kept can have are forgotten.
ALTER TABLE commands ADD COLUMN seen INTEGER NOT NULL DEFAULT 0;
ALTER TABLE patterns ADD COLUMN seen INTEGER NOT NULL DEFAULT 0;
ALTER TABLE clients ADD COLUMN seen INTEGER NOT NULL DEFAULT 0;
-- Which of those that are there occurs when would take a look at every line: as if all had occurred in the newest window.
UPDATE commands SET seen = (SELECT coalesce(max(closed), 0) / 86400000000 FROM windows);
UPDATE patterns SET seen = (SELECT coalesce(max(closed), 0) / 86400000000 FROM windows);
UPDATE clients SET seen = (SELECT coalesce(max(closed), 0) / 86400000000 FROM windows);

-- One key is looked for by reading the lines once.
DROP VIEW monitor_logs;
DROP VIEW monitor_samples;
DROP VIEW all_lines;

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
    -- The sign keeps SQLite from making an index of all keys for one statement, and looking into it for each chunk.
    +lines.key AS key,
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
