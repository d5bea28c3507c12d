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
    key text PRIMARY KEY CHECK (key <> '' AND strpos(key, E'\n') = 0),
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
-- ends, so revisions have the order of commits, which those of a sequence have not.
CREATE OR REPLACE FUNCTION hot_reload_count() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('UPDATE %I.hot_reload_state SET revision = revision + 1', TG_TABLE_SCHEMA);
    IF TG_OP = 'TRUNCATE' THEN
        EXECUTE format(
            'SELECT pg_notify(''hot_reload'', format(''%%s %%s *'', revision, epoch))'
            ' FROM %I.hot_reload_state', TG_TABLE_SCHEMA);
    END IF;
    RETURN NULL;
END $$;

-- Tells what a key holds in the end, as it runs when the transaction commits: however often that has
-- written, nobody sees what was never committed. A payload of pg_notify has less than 8000 bytes; a
-- value that does not fit is read by those who follow it.
CREATE OR REPLACE FUNCTION hot_reload_tell() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    changed text;
    payload text;
BEGIN
    FOR changed IN
        SELECT DISTINCT keys.key FROM unnest(ARRAY[OLD.key, NEW.key]) AS keys (key)
        WHERE keys.key IS NOT NULL
    LOOP
        EXECUTE format(
            'SELECT state.revision || '' '' || state.epoch || '' '''
            ' || CASE WHEN held.key IS NULL THEN ''-'' || $1 ELSE ''='' || $1 || E''\n'' || held.value END'
            ' FROM %1$I.hot_reload_state AS state'
            ' LEFT JOIN %1$I.hot_reload AS held ON held.key = $1', TG_TABLE_SCHEMA)
        INTO payload USING changed;
        IF octet_length(payload) >= 8000 THEN
            payload := regexp_replace(split_part(payload, E'\n', 1), ' =', ' >');
        END IF;
        -- A key that alone is too long for a payload.
        IF octet_length(payload) >= 8000 THEN
            payload := split_part(payload, ' ', 1) || ' ' || split_part(payload, ' ', 2) || ' *';
        END IF;
        PERFORM pg_notify('hot_reload', payload);
    END LOOP;
    RETURN NULL;
END $$;

DROP TRIGGER IF EXISTS hot_reload_count ON hot_reload;
CREATE TRIGGER hot_reload_count
    BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON hot_reload
    FOR EACH STATEMENT EXECUTE FUNCTION hot_reload_count();

DROP TRIGGER IF EXISTS hot_reload_tell ON hot_reload;
CREATE CONSTRAINT TRIGGER hot_reload_tell
    AFTER INSERT OR UPDATE OR DELETE ON hot_reload
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION hot_reload_tell();
