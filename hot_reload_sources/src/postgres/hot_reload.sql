-- The table that hot_reload follows, with what tells of its changes. PostgreSQL 13 or later.
--
--     psql "$DATABASE" --single-transaction --file hot_reload.sql
--
-- Once, by whoever is to own it; run again, it keeps what is there. It goes into the first schema of
-- the search_path, and readers find it by theirs. They need:
--
--     GRANT SELECT ON hot_reload, hot_reload_state TO reader;
--
-- Writers need rights on the table hot_reload alone.

CREATE TABLE IF NOT EXISTS hot_reload (
    -- What a source is named by, such as server.toml.
    key text PRIMARY KEY CHECK (key <> ''),
    value text NOT NULL
);

-- One row: how many statements have written, and which table that counts for.
CREATE TABLE IF NOT EXISTS hot_reload_state (
    is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
    epoch uuid NOT NULL DEFAULT gen_random_uuid(),
    revision bigint NOT NULL DEFAULT 0
);
INSERT INTO hot_reload_state DEFAULT VALUES ON CONFLICT DO NOTHING;

-- Counts before a statement touches any row. The row lock that it takes is held until the transaction
-- ends, so revisions have the order of commits, which those of a sequence have not. It runs as its
-- owner, so that writers need no right to count.
CREATE OR REPLACE FUNCTION hot_reload_count() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('UPDATE %I.hot_reload_state SET revision = revision + 1', TG_TABLE_SCHEMA);
    IF TG_OP = 'TRUNCATE' THEN
        PERFORM pg_notify('hot_reload', '');
    END IF;
    RETURN NULL;
END $$;

-- Whoever may execute it may attach it to a table of their own, beside a hot_reload_state of their own,
-- whose triggers then run as the owner of this. That it is attached here is enough for it to fire.
REVOKE EXECUTE ON FUNCTION hot_reload_count() FROM PUBLIC;

-- Tells which key to read, once the transaction commits: once for each key, however often that was
-- written. It tells no value, since LISTEN takes no right, and is believed in nothing, since neither
-- does NOTIFY.
CREATE OR REPLACE FUNCTION hot_reload_tell() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    changed text;
BEGIN
    FOR changed IN
        SELECT keys.key FROM unnest(ARRAY[OLD.key, NEW.key]) AS keys (key) WHERE keys.key IS NOT NULL
    LOOP
        -- A payload has less than 8000 bytes; an empty one means that any key may have changed.
        PERFORM pg_notify('hot_reload', CASE WHEN octet_length(changed) < 8000 THEN changed ELSE '' END);
    END LOOP;
    RETURN NULL;
END $$;

DROP TRIGGER IF EXISTS hot_reload_count ON hot_reload;
CREATE TRIGGER hot_reload_count
    BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON hot_reload
    FOR EACH STATEMENT EXECUTE FUNCTION hot_reload_count();

DROP TRIGGER IF EXISTS hot_reload_tell ON hot_reload;
CREATE TRIGGER hot_reload_tell
    AFTER INSERT OR UPDATE OR DELETE ON hot_reload
    FOR EACH ROW EXECUTE FUNCTION hot_reload_tell();
