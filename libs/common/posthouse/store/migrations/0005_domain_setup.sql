-- migrate:up

-- What this relay is called, by each program that runs: the records that customers publish name it.
CREATE TABLE relay_names (
    program           text NOT NULL,
    hostname          text NOT NULL,
    return_path_host  text,  -- of domains without one of their own; null: the hostname
    seen_at           timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (program, hostname)
);

ALTER TABLE sending_domains
    -- What it has to show before it may send: decided when it is added.
    ADD COLUMN onboarding text NOT NULL DEFAULT 'records'
        CHECK (onboarding IN ('records', 'delegation', 'trusted')),
    -- A zone of ours that holds its DKIM records; its own zone has CNAME records that lead there.
    -- Null: its own zone holds them.
    ADD COLUMN key_zone text,
    -- New DKIM keys are made when the newest has been active for so many days; null: never.
    ADD COLUMN rotate_days integer CHECK (rotate_days > 0);

-- New keys of a domain take the place of those that sign: a row for as long as that takes.
CREATE TABLE key_rotations (
    domain_id    uuid PRIMARY KEY REFERENCES sending_domains ON DELETE CASCADE,
    selectors    text[] NOT NULL,                     -- of the new keys
    retired      text[] NOT NULL DEFAULT '{}',        -- of those whose place they took
    started_at   timestamptz NOT NULL DEFAULT now(),
    look_at      timestamptz NOT NULL DEFAULT now(),  -- the next look at DNS, or at open mail
    seen_at      timestamptz,                         -- since when every look found the records
    switched_at  timestamptz,                         -- since when the new keys sign
    finding      text                                 -- what the last look found, if that was wrong
);
