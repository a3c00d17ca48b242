-- migrate:up

-- Which versions of each program run: each process says its own, again and again.
CREATE TABLE program_versions (
    program  text NOT NULL,
    version  text NOT NULL,
    seen_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (program, version)
);
