-- What a program of schema 1 made, as SQLite shows it (.schema); never to be changed.
CREATE TABLE settings ( name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (name) );
CREATE TABLE keys ( id TEXT NOT NULL, digest TEXT NOT NULL, prefix TEXT NOT NULL, name TEXT NOT NULL, role TEXT NOT NULL, created FLOAT NOT NULL, expires FLOAT, revoked FLOAT, last_used FLOAT, PRIMARY KEY (id), UNIQUE (digest) );
CREATE TABLE artifacts ( sequence INTEGER NOT NULL, sha256 TEXT NOT NULL, media_type TEXT NOT NULL, size BIGINT NOT NULL, owner_key_id TEXT NOT NULL, created FLOAT NOT NULL, provenance TEXT NOT NULL, PRIMARY KEY (sequence) );
CREATE INDEX ix_artifacts_created ON artifacts (created);
CREATE INDEX ix_artifacts_sha256 ON artifacts (sha256);
CREATE TABLE records ( sequence INTEGER NOT NULL, id TEXT NOT NULL, started FLOAT NOT NULL, key_id TEXT NOT NULL, key_name TEXT NOT NULL, dialect TEXT NOT NULL, operation TEXT NOT NULL, model TEXT NOT NULL, stream BOOLEAN NOT NULL, outcome TEXT NOT NULL, status BIGINT NOT NULL, error TEXT NOT NULL, upstream TEXT NOT NULL, tier TEXT NOT NULL, attempts TEXT NOT NULL, input_tokens BIGINT NOT NULL, output_tokens BIGINT NOT NULL, images BIGINT NOT NULL, bytes_in BIGINT NOT NULL, bytes_out BIGINT NOT NULL, first_event_ms FLOAT NOT NULL, total_ms FLOAT NOT NULL, PRIMARY KEY (sequence), UNIQUE (id) );
CREATE INDEX records_started ON records (started);
INSERT INTO settings VALUES ('schema_version', '1');
