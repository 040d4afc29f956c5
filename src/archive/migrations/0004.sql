-- The last day, since the epoch, on which a window had the name: names that no window kept can have are forgotten.
ALTER TABLE commands ADD COLUMN seen INTEGER NOT NULL DEFAULT 0;
ALTER TABLE patterns ADD COLUMN seen INTEGER NOT NULL DEFAULT 0;
ALTER TABLE clients ADD COLUMN seen INTEGER NOT NULL DEFAULT 0;
-- Which of those that are there occurs when would take a look at every line: as if all had occurred in the newest window.
UPDATE commands SET seen = (SELECT coalesce(max(closed), 0) / 86400000000 FROM windows);
UPDATE patterns SET seen = (SELECT coalesce(max(closed), 0) / 86400000000 FROM windows);
UPDATE clients SET seen = (SELECT coalesce(max(closed), 0) / 86400000000 FROM windows);
