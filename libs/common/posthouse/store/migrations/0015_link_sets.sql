-- migrate:up

-- Where tracked links lead. The id follows from account and targets, so that all messages with the
-- same links share a row, which is never changed but for the time of its last use.
CREATE TABLE link_sets (
    id          bytea PRIMARY KEY CHECK (octet_length(id) = 10),
    account_id  uuid NOT NULL,
    targets     text[] NOT NULL,  -- by their number in the tokens, which begins with 0
    created_at  timestamptz NOT NULL DEFAULT now(),
    used_at     timestamptz NOT NULL DEFAULT now()  -- by a message that was prepared; to a month
);
CREATE INDEX link_sets_by_use ON link_sets (used_at);

CREATE TYPE link_set_row_1 AS (id bytea, account_id uuid, targets text[]);
