-- migrate:up

-- What some mechanisms of AUTH need beside the hash of a secret (RULES X03). It counts as long as
-- it was made of the secret that the row has: the version before may set another one.
ALTER TABLE credentials
    ADD COLUMN scram bytea,       -- keys of SCRAM-SHA-256: `posthouse.mail.scram`
    ADD COLUMN sealed bytea,      -- the secret itself, sealed: for CRAM-MD5
    ADD COLUMN made_of bytea,     -- the hash of the secret that both were made of
    -- The secret before, which counts for a while after it was replaced.
    ADD COLUMN previous_hash bytea,
    ADD COLUMN previous_until timestamptz,
    ADD COLUMN expires_at timestamptz;
