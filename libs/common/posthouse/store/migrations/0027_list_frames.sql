-- migrate:up

-- What a list puts around each of its messages, where the flags list_header and list_footer say so.
ALTER TABLE streams
    ADD COLUMN header_html text NOT NULL DEFAULT '',
    ADD COLUMN header_text text NOT NULL DEFAULT '',
    ADD COLUMN footer_html text NOT NULL DEFAULT '',
    ADD COLUMN footer_text text NOT NULL DEFAULT '';
