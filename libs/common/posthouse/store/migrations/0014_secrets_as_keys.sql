-- migrate:up

-- A secret may say by itself whose it is (RULES T02): by its keyed hash.
CREATE INDEX credentials_by_secret ON credentials (secret_hash);
CREATE INDEX credentials_by_previous_secret ON credentials (previous_hash)
    WHERE previous_hash IS NOT NULL;
