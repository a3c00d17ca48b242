-- migrate:up

-- How much a credential, or an account with all of its credentials, may send in a window of the clock
-- (RULES U24), and what was counted in the last one: see `posthouse.mail.rate_limit`.
CREATE TABLE rate_limits (
    owner_id  uuid NOT NULL,      -- of the credential or account
    counted   text NOT NULL,      -- messages, recipients
    period    text NOT NULL,      -- minute, hour, day, month
    most      bigint NOT NULL,
    action    text NOT NULL,      -- refuse, delay, hold
    -- When the window began; it is ahead of the clock while messages wait for it.
    window_at timestamptz NOT NULL DEFAULT 'epoch',
    used      bigint NOT NULL DEFAULT 0,
    told      boolean NOT NULL DEFAULT false,  -- the account heard that the limit was exceeded
    PRIMARY KEY (owner_id, counted, period)
) WITH (fillfactor = 50);  -- each message changes a row, and no index

CREATE TYPE rate_row_1 AS (
    owner_id uuid, counted text, period text, window_at timestamptz, used bigint, told boolean
);
