-- migrate:up

-- A host of a sending domain that its tracked links lead to: decision 0046.
CREATE TABLE tracking_hosts (
    domain_id    uuid PRIMARY KEY REFERENCES sending_domains ON DELETE CASCADE,
    host         text NOT NULL,
    look_at      timestamptz NOT NULL DEFAULT now(),  -- the next probe
    probed_at    timestamptz,                         -- null: never
    led_here_at  timestamptz,                         -- when a probe last found that it leads here
    finding      text                                 -- what the last probe found, if that was wrong
);
CREATE INDEX tracking_hosts_due ON tracking_hosts (look_at);

-- Where tracked links lead that are in mail of domains without a host of their own.
ALTER TABLE relay_names ADD COLUMN tracking_host text;
