-- migrate:up

-- What the sender of a message wants to be told about its delivery (RFC 3461), for those who send it: it
-- goes with the text. The history has it among the attributes of the submission. Null: nothing.
ALTER TABLE contents ADD COLUMN dsn jsonb;

CREATE TYPE content_row_2 AS (id uuid, header bytea, body bytea, dsn jsonb);
