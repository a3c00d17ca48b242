-- migrate:up

ALTER TABLE credentials
    -- What it may be used for: `posthouse.mail.permission`.
    ADD COLUMN permissions text[] NOT NULL DEFAULT '{smtp}',
    -- Kept for history and for open mail, which has its profile; another one may have its user name.
    ADD COLUMN deleted_at timestamptz,
    DROP CONSTRAINT credentials_username_key;
CREATE UNIQUE INDEX credentials_username ON credentials (username) WHERE deleted_at IS NULL;
