-- migrate:up

-- What makes the body of a rendition of that of its submission, where that is shorter than a body of its
-- own: `posthouse.mail.body_edits`, decision 0049.
ALTER TABLE renditions ADD COLUMN edits bytea;
ALTER TABLE renditions ALTER COLUMN edits SET STORAGE EXTERNAL;

CREATE TYPE rendition_row_2 AS (id uuid, submission_id uuid, header bytea, body bytea, edits bytea);
