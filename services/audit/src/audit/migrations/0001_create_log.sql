-- A transparency log for each tenant. Rows are added and never changed: roles may only INSERT, and
-- triggers refuse the rest, whoever asks. Requests see the rows of their tenant and no others.
CREATE SCHEMA audit;

CREATE TABLE audit.log (
  tenant text PRIMARY KEY CHECK (tenant <> ''),
  since timestamptz NOT NULL DEFAULT clock_timestamp());

-- What the leaf is of, and columns to find it by: the record begins with the same place.
CREATE TABLE audit.leaf (
  tenant text NOT NULL CHECK (tenant <> ''),
  seq bigint NOT NULL CHECK (seq >= 0),
  topic text NOT NULL, epoch uuid NOT NULL, shard smallint NOT NULL, pos bigint NOT NULL,
  stream uuid NOT NULL, event_id uuid NOT NULL,
  leaf bytea NOT NULL CHECK (octet_length(leaf) = 32),
  record bytea NOT NULL,
  ingested timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (tenant, seq),
  UNIQUE (tenant, topic, epoch, shard, pos));
CREATE INDEX leaf_of_stream ON audit.leaf (tenant, stream, seq);
CREATE INDEX leaf_of_event ON audit.leaf (tenant, event_id);

-- Hashes of complete subtrees above the leaves.
CREATE TABLE audit.node (
  tenant text NOT NULL CHECK (tenant <> ''),
  level smallint NOT NULL CHECK (level > 0),
  idx bigint NOT NULL CHECK (idx >= 0),
  hash bytea NOT NULL CHECK (octet_length(hash) = 32),
  PRIMARY KEY (tenant, level, idx));

CREATE TABLE audit.checkpoint (
  tenant text NOT NULL CHECK (tenant <> ''),
  size bigint NOT NULL CHECK (size > 0),
  root bytea NOT NULL CHECK (octet_length(root) = 32),
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  note text NOT NULL,
  PRIMARY KEY (tenant, size));

-- Where else a checkpoint stands.
CREATE TABLE audit.anchor (
  tenant text NOT NULL CHECK (tenant <> ''),
  kind text NOT NULL,                            -- file, topic
  size bigint NOT NULL,
  receipt text NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (tenant, kind, size),
  FOREIGN KEY (tenant, size) REFERENCES audit.checkpoint (tenant, size));

CREATE FUNCTION audit.refuse() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS
$$ BEGIN RAISE EXCEPTION 'audit.% is only added to', TG_TABLE_NAME USING ERRCODE = '42501'; END $$;
REVOKE ALL ON FUNCTION audit.refuse() FROM PUBLIC;

DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['log', 'leaf', 'node', 'checkpoint', 'anchor']
  LOOP
    EXECUTE format('CREATE TRIGGER only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON audit.%I
      FOR EACH STATEMENT EXECUTE FUNCTION audit.refuse()', t);
    EXECUTE format('ALTER TABLE audit.%I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE audit.%I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY of_tenant ON audit.%I FOR SELECT TO {app} USING (tenant = current_setting(''app.tenant'', true))', t);
    EXECUTE format('CREATE POLICY of_any_tenant ON audit.%I TO {projector} USING (true) WITH CHECK (true)', t);
  END LOOP;
END $$;

GRANT USAGE ON SCHEMA audit TO {app}, {projector};
GRANT SELECT ON ALL TABLES IN SCHEMA audit TO {app};
GRANT SELECT, INSERT ON ALL TABLES IN SCHEMA audit TO {projector};
