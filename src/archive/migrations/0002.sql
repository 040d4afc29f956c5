-- Bytes out as they were estimated after the window, as JSON: estimated, measured, scale, attributed, and by pattern, command, signature
-- and key, each with its bytes.
ALTER TABLE windows ADD COLUMN output_estimate TEXT;
