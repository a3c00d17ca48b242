-- migrate:up

-- What lists of messages and reports show of one: `posthouse.mail.headline`. Null: of the version before.
ALTER TABLE submissions
    ADD COLUMN subject text,
    ADD COLUMN author text,
    ADD COLUMN author_name text;

CREATE TYPE accept_row_2 AS (
    id uuid, account_id uuid, credential_id uuid, profile text, profile_revision integer,
    lane smallint, sender text, recipients text[], smtputf8 boolean, client text, helo text,
    tls text, size integer, attributes jsonb, handed boolean, subject text, author text,
    author_name text
);
