-- Read models in generations: one is read, another may be built beside it, follow it, take its place.
CREATE TABLE consumer.generation (
  name text NOT NULL,                            -- of the projection and its consumer
  number int NOT NULL,
  schema text NOT NULL UNIQUE,                   -- where its tables are; views of schema `read` show the live one's
  state text NOT NULL CHECK (state IN (
    'building',                                  -- has cursors of its own, named `<name>@<number>`
    'following',                                 -- gets every batch in the transaction of the live one
    'live')),
  since timestamptz NOT NULL DEFAULT clock_timestamp(),
  built_at timestamptz,                          -- had come to where the live one, or the store, stood
  skipped bigint NOT NULL DEFAULT 0,             -- events of unknown kind; of the live one: consumer.status
  rate real NOT NULL DEFAULT 0,                  -- events a second, while it is built
  beat timestamptz,                              -- when that was measured
  compared_at timestamptz,
  compared_rows bigint NOT NULL DEFAULT 0,
  differing bigint NOT NULL DEFAULT 0,           -- rows that the live one has not, or not so, and the reverse
  PRIMARY KEY (name, number));
CREATE UNIQUE INDEX ON consumer.generation (name) WHERE state = 'live';

-- Counts joins and departures. A consumer moves a cursor only if it knows all generations that must move along.
ALTER TABLE consumer.cursor ADD COLUMN layout int NOT NULL DEFAULT 0;

CREATE FUNCTION consumer.schema_of(p_name text, p_number int) RETURNS text LANGUAGE sql IMMUTABLE STRICT
SET search_path = pg_catalog, pg_temp AS
$$ SELECT 'proj_' || regexp_replace(split_part(p_name, '.', 2), '[^a-z0-9]', '_', 'g') || '_g' || p_number $$;

CREATE FUNCTION consumer.tables_of(p_schema text) RETURNS SETOF name LANGUAGE sql STABLE STRICT
SET search_path = pg_catalog, pg_temp AS
$$ SELECT c.relname FROM pg_class c WHERE c.relnamespace = p_schema::regnamespace AND c.relkind = 'r' ORDER BY 1 $$;

-- Columns by name, and the reader's own rights: a view of its owner's would show every tenant.
CREATE FUNCTION consumer.show(p_schema text) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE t name; columns text;
BEGIN
  FOR t IN SELECT consumer.tables_of(p_schema) LOOP
    SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) INTO columns FROM pg_attribute a
     WHERE a.attrelid = format('%I.%I', p_schema, t)::regclass AND a.attnum > 0 AND NOT a.attisdropped;
    EXECUTE format('DROP VIEW IF EXISTS read.%I', t);
    EXECUTE format('CREATE VIEW read.%I WITH (security_invoker = true) AS SELECT %s FROM %I.%I', t, columns, p_schema, t);
    EXECUTE format('GRANT SELECT ON read.%I TO {app}, {projector}', t);
  END LOOP;
END $$;

-- What a migration has made in schema `read` becomes the first generation of a projection.
CREATE FUNCTION consumer.adopt(p_name text, p_tables text[]) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE s text := consumer.schema_of(p_name, 1); t text;
BEGIN
  EXECUTE format('CREATE SCHEMA %I', s);
  EXECUTE format('GRANT USAGE ON SCHEMA %I TO {app}, {projector}', s);
  FOREACH t IN ARRAY p_tables LOOP
    EXECUTE format('ALTER TABLE read.%I SET SCHEMA %I', t, s);
  END LOOP;
  PERFORM consumer.show(s);
  INSERT INTO consumer.generation (name, number, schema, state) VALUES (p_name, 1, s, 'live');
END $$;

-- The generation that is read. Its row is locked: the steps below exclude one another.
CREATE FUNCTION consumer.live(p_name text) RETURNS consumer.generation LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE g consumer.generation;
BEGIN
  SELECT * INTO g FROM consumer.generation WHERE name = p_name AND state = 'live' FOR UPDATE;
  IF NOT FOUND THEN RAISE EXCEPTION '% has no read model', p_name; END IF;
  RETURN g;
END $$;

CREATE FUNCTION consumer.beside(p_name text, p_state text) RETURNS consumer.generation LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE g consumer.generation;
BEGIN
  SELECT * INTO g FROM consumer.generation WHERE name = p_name AND state = p_state;
  IF NOT FOUND THEN RAISE EXCEPTION '% has no generation that is %', p_name, p_state; END IF;
  RETURN g;
END $$;

-- A table like another, with its indexes, its policies and who may do what; without its rows.
CREATE FUNCTION consumer.copy_empty(p_from text, p_to text, p_table text) RETURNS void LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE p record;
BEGIN
  EXECUTE format('CREATE TABLE %I.%I (LIKE %I.%I INCLUDING ALL)', p_to, p_table, p_from, p_table);
  EXECUTE format('ALTER TABLE %I.%I ENABLE ROW LEVEL SECURITY', p_to, p_table);
  EXECUTE format('ALTER TABLE %I.%I FORCE ROW LEVEL SECURITY', p_to, p_table);
  FOR p IN SELECT * FROM pg_policies WHERE schemaname = p_from AND tablename = p_table LOOP
    EXECUTE format('CREATE POLICY %I ON %I.%I AS %s FOR %s TO %s%s%s', p.policyname, p_to, p_table, p.permissive, p.cmd,
                   (SELECT string_agg(quote_ident(r), ', ') FROM unnest(p.roles) r),
                   ' USING (' || p.qual || ')', ' WITH CHECK (' || p.with_check || ')');
  END LOOP;
  EXECUTE format('GRANT SELECT ON %I.%I TO {app}', p_to, p_table);
  EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I.%I TO {projector}', p_to, p_table);
END $$;

-- From nothing to `building`: empty tables, shaped as the live ones are now.
CREATE FUNCTION consumer.prepare(p_name text) RETURNS int LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE live consumer.generation := consumer.live(p_name); n int := live.number + 1;
        s text := consumer.schema_of(p_name, n);
BEGIN
  IF EXISTS (SELECT FROM consumer.generation WHERE name = p_name AND state <> 'live')
  THEN RAISE EXCEPTION '% has a second generation already', p_name; END IF;
  EXECUTE format('CREATE SCHEMA %I', s);
  EXECUTE format('GRANT USAGE ON SCHEMA %I TO {app}, {projector}', s);
  PERFORM consumer.copy_empty(live.schema, s, t) FROM consumer.tables_of(live.schema) t;
  INSERT INTO consumer.generation (name, number, schema, state) VALUES (p_name, n, s, 'building');
  RETURN n;
END $$;

-- From `building` to `following`, once it stands where the live one stands. The caller holds the cursors of both.
CREATE FUNCTION consumer.join(p_name text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE live consumer.generation := consumer.live(p_name);
        g consumer.generation := consumer.beside(p_name, 'building'); own text := p_name || '@' || g.number;
BEGIN
  PERFORM FROM consumer.cursor WHERE name = p_name ORDER BY log, shard FOR UPDATE;
  IF EXISTS (SELECT FROM consumer.parked_stream WHERE name = p_name)
  THEN RAISE EXCEPTION '% has parked streams: retry or discard them first', p_name; END IF;
  IF EXISTS (SELECT FROM (SELECT * FROM consumer.cursor WHERE name = p_name) a
               FULL JOIN (SELECT * FROM consumer.cursor WHERE name = own) b USING (log, shard)
              WHERE (a.pos, a.hash) IS DISTINCT FROM (b.pos, b.hash))
  THEN RAISE EXCEPTION '% does not stand where % stands', own, p_name USING ERRCODE = '55000'; END IF;
  DELETE FROM consumer.cursor WHERE name = own;
  DELETE FROM consumer.status WHERE name = own;
  UPDATE consumer.cursor SET layout = layout + 1 WHERE name = p_name;
  UPDATE consumer.generation SET state = 'following', since = clock_timestamp(), rate = 0
   WHERE name = p_name AND number = g.number;
END $$;

-- The two change places, back and forth: requests read the other one from the commit on.
CREATE FUNCTION consumer.swap(p_name text) RETURNS int LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE live consumer.generation := consumer.live(p_name);
        g consumer.generation := consumer.beside(p_name, 'following'); s bigint;
BEGIN
  SELECT rebuild_needed INTO STRICT s FROM consumer.status WHERE name = p_name FOR UPDATE;
  UPDATE consumer.generation SET state = 'following', skipped = s, since = clock_timestamp()
   WHERE name = p_name AND number = live.number;
  UPDATE consumer.generation SET state = 'live', since = clock_timestamp()
   WHERE name = p_name AND number = g.number;
  UPDATE consumer.status SET rebuild_needed = g.skipped WHERE name = p_name;
  PERFORM consumer.show(g.schema);
  RETURN g.number;
END $$;

-- The second generation goes, whatever its state. Nothing that is still shown can be dropped.
CREATE FUNCTION consumer.retire(p_name text) RETURNS int LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE live consumer.generation := consumer.live(p_name); g consumer.generation; t name;
BEGIN
  SELECT * INTO g FROM consumer.generation WHERE name = p_name AND state <> 'live';
  IF NOT FOUND THEN RAISE EXCEPTION '% has no second generation', p_name; END IF;
  PERFORM FROM consumer.cursor WHERE name IN (p_name, p_name || '@' || g.number) ORDER BY name, log, shard FOR UPDATE;
  DELETE FROM consumer.cursor WHERE name = p_name || '@' || g.number;
  DELETE FROM consumer.status WHERE name = p_name || '@' || g.number;
  UPDATE consumer.cursor SET layout = layout + 1 WHERE name = p_name;
  FOR t IN SELECT consumer.tables_of(g.schema) LOOP
    EXECUTE format('DROP TABLE %I.%I', g.schema, t);
  END LOOP;
  EXECUTE format('DROP SCHEMA %I', g.schema);
  DELETE FROM consumer.generation WHERE name = p_name AND number = g.number;
  RETURN g.number;
END $$;

-- For a consumer that halted because its log is another one now: what it read is no longer true, so that there is
-- nothing to compare with and nothing to go back to. It goes on from the cursors of the new generation.
CREATE FUNCTION consumer.replace(p_name text) RETURNS int LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp AS $$
DECLARE live consumer.generation := consumer.live(p_name);
        g consumer.generation := consumer.beside(p_name, 'building'); own text := p_name || '@' || g.number; l int;
BEGIN
  PERFORM FROM consumer.status WHERE name = p_name AND state = 'halted' FOR UPDATE;
  IF NOT FOUND THEN RAISE EXCEPTION '% is not halted', p_name; END IF;
  IF g.built_at IS NULL THEN RAISE EXCEPTION '% is not built to its end', own; END IF;
  SELECT max(layout) + 1 INTO STRICT l FROM consumer.cursor WHERE name = p_name;
  INSERT INTO consumer.discarded (id, name, log, shard, pos, tenant, stream, error, key, header_names, header_values,
    value, parked_at, discarded_by, reason)
  SELECT id, name, log, shard, pos, tenant, stream, error, key, header_names, header_values,
    value, parked_at, 'rebuild', own || ' has taken the place of what it was parked for'
    FROM consumer.parked WHERE name = p_name AND pos IS NOT NULL;
  DELETE FROM consumer.parked WHERE name = p_name AND pos IS NOT NULL;
  DELETE FROM consumer.parked_stream WHERE name = p_name;
  DELETE FROM consumer.cursor WHERE name = p_name;
  UPDATE consumer.cursor SET name = p_name, layout = l, unproven = true WHERE name = own;
  DELETE FROM consumer.status WHERE name = own;
  UPDATE consumer.status SET state = 'running', reason = '', rebuild_needed = g.skipped, since = clock_timestamp()
   WHERE name = p_name;
  UPDATE consumer.generation SET state = 'following' WHERE name = p_name AND number = live.number;
  UPDATE consumer.generation SET state = 'live', rate = 0, since = clock_timestamp()
   WHERE name = p_name AND number = g.number;
  PERFORM consumer.show(g.schema);
  PERFORM consumer.retire(p_name);
  RETURN g.number;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA consumer FROM PUBLIC;
GRANT EXECUTE ON FUNCTION consumer.prepare, consumer.join, consumer.swap, consumer.retire, consumer.replace TO {projector};
GRANT SELECT ON consumer.generation TO {projector};
GRANT UPDATE (built_at, skipped, rate, beat, compared_at, compared_rows, differing) ON consumer.generation TO {projector};
