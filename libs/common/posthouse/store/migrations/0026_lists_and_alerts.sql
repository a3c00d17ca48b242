-- migrate:up

ALTER TABLE accounts
    -- How often it hears of a kind of alerts, such as {"bounced": "daily"}, where it has chosen that.
    ADD COLUMN alert_paces jsonb NOT NULL DEFAULT '{}',
    -- From acceptance on: what is delivered later is late.
    ADD COLUMN late_after interval NOT NULL DEFAULT '1 hour' CHECK (late_after >= interval '1 minute');
