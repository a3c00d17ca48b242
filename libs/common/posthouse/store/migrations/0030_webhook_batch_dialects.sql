-- migrate:up

-- The form that the events of a batch were written in; null: that of its endpoint.
ALTER TABLE webhook_batches ADD COLUMN dialect text;
ALTER TABLE webhook_dead_letters ADD COLUMN dialect text;

CREATE TYPE webhook_batch_row_2 AS (
    endpoint_id uuid, gather interval, is_replay boolean, oldest_at timestamptz, ids uuid[], kinds text[],
    body bytea, dialect text
);
