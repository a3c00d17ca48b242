-- migrate:up

-- `flags` is what differs from the profile, such as {"open_tracking": true}.

-- A list or a mailing: groups settings, statistics and billing.
CREATE TABLE streams (
    account_id  uuid NOT NULL REFERENCES accounts,
    name        text NOT NULL,
    code        text NOT NULL CHECK (code = lower(code)),  -- by which messages name it
    flags       jsonb NOT NULL DEFAULT '{}',
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (account_id, name),
    UNIQUE (account_id, code)
);

-- For messages from one address.
CREATE TABLE sender_settings (
    account_id  uuid NOT NULL REFERENCES accounts,
    normal      text NOT NULL,  -- `posthouse.mail.address.normal_form`
    address     text NOT NULL,  -- as it was given
    flags       jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (account_id, normal)
);

ALTER TABLE accounts
    ADD COLUMN alerts boolean NOT NULL DEFAULT true,  -- whether they are sent, where there is an
    ADD COLUMN alert_address text;                    -- address

-- Open work: what an account is still to hear of.
CREATE TABLE untold_alerts (
    id             uuid PRIMARY KEY DEFAULT new_id(),
    account_id     uuid NOT NULL,
    alert          text NOT NULL,
    submission_id  uuid NOT NULL,
    at             timestamptz NOT NULL,
    detail         jsonb NOT NULL,
    due_at         timestamptz NOT NULL
);
CREATE INDEX untold_alerts_due ON untold_alerts (due_at);
CREATE INDEX untold_alerts_of_account ON untold_alerts (account_id, alert);

-- How many messages an account got about alerts of a kind, in the hour that began then.
CREATE TABLE alert_windows (
    account_id  uuid NOT NULL,
    alert       text NOT NULL,
    began_at    timestamptz NOT NULL DEFAULT now(),
    sent        integer NOT NULL,
    PRIMARY KEY (account_id, alert)
);
