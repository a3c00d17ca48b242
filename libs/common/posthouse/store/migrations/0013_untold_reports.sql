-- migrate:up

-- Open work: reports of success and delay that a sender asked for (RFC 3461) and does not have yet. They
-- are rows of their own, since the version before would stop at them. Those of one submission with the
-- same action become one notice.
CREATE TABLE untold_reports (
    submission_id  uuid NOT NULL,
    recipient      text NOT NULL,
    action         text NOT NULL,  -- delayed, relayed, delivered or expanded (RFC 3464)
    account_id     uuid NOT NULL,
    delivery_id    uuid NOT NULL,
    kind           text NOT NULL,
    at             timestamptz NOT NULL,
    detail         jsonb NOT NULL,
    due_at         timestamptz NOT NULL,
    PRIMARY KEY (submission_id, recipient, action)
);
CREATE INDEX untold_reports_due ON untold_reports (due_at);
