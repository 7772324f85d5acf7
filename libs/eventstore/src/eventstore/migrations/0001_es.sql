-- The event store: append-only logs of 64 shards, claims, idempotency keys, relay cursors.
-- Every event has a contiguous (log, shard, pos) in commit order: who reads pos knows that it missed nothing.
CREATE SCHEMA es;

-- The epoch is new after every restore or lossy failover: what was published before may differ from what stands here.
CREATE TABLE es.store (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  epoch uuid NOT NULL DEFAULT gen_random_uuid()
);
INSERT INTO es.store DEFAULT VALUES;

-- Locked by each append until it commits. Updated in place (HOT): hence the fill factor.
CREATE TABLE es.head (
  log text,
  shard smallint,
  pos bigint NOT NULL DEFAULT 0,
  hash bytea NOT NULL,
  at timestamptz NOT NULL DEFAULT '-infinity',
  PRIMARY KEY (log, shard)
) WITH (fillfactor = 10);

CREATE TABLE es.event (
  log text NOT NULL,
  shard smallint NOT NULL,
  pos bigint NOT NULL,
  tenant text NOT NULL CHECK (tenant <> ''),
  stream uuid NOT NULL,
  ver int NOT NULL,
  event_id uuid NOT NULL UNIQUE,
  type text NOT NULL,
  occurred_at timestamptz NOT NULL,
  recorded_at timestamptz NOT NULL,
  data bytea NOT NULL,
  meta bytea NOT NULL,
  hash bytea NOT NULL,
  CHECK (octet_length(data) + octet_length(meta) <= 262144), -- an event that Kafka refuses would stop the relay for ever
  PRIMARY KEY (log, shard, pos),
  UNIQUE (tenant, stream, ver)
);
CREATE INDEX event_of_tenant ON es.event (log, tenant, shard, pos);

-- What a key was used for, and where its answer stands. Kept for ever: offline queues and policies retry after weeks.
CREATE TABLE es.idem (
  tenant text,
  key text CHECK (key <> ''),
  fp bytea NOT NULL,
  stream uuid NOT NULL,
  last_ver int NOT NULL,
  log text NOT NULL,
  shard smallint NOT NULL,
  last_pos bigint NOT NULL,
  at timestamptz NOT NULL,
  PRIMARY KEY (tenant, key)
);

-- What one stream holds and no other may. The order of the columns matters: a plan made on an empty table must not
-- lead with the tenant. Overlap is excluded by the sorted advisory locks of es.append, the only writer.
CREATE TABLE es.claim (
  tenant text NOT NULL,
  scope text NOT NULL,
  key text NOT NULL,
  during tstzrange NOT NULL DEFAULT '(,)',
  stream uuid NOT NULL,
  PRIMARY KEY (key, scope, tenant, during, stream)
);
CREATE INDEX claim_of_stream ON es.claim (stream, tenant);
CREATE INDEX claim_number ON es.claim (tenant, scope, (key::bigint)) WHERE scope LIKE 'number/%';

-- One lease and 64 cursors per log and group of shards; more groups are more relays.
CREATE TABLE es.relay_lease (
  log text,
  grp smallint,
  owner uuid,
  fence bigint NOT NULL DEFAULT 0,
  until timestamptz NOT NULL DEFAULT '-infinity',
  PRIMARY KEY (log, grp)
) WITH (fillfactor = 10);
CREATE TABLE es.relay_cursor (
  log text,
  shard smallint,
  grp smallint NOT NULL DEFAULT 0,
  pos bigint NOT NULL DEFAULT 0,
  PRIMARY KEY (log, shard)
) WITH (fillfactor = 10);

-- The past is not open to debate, not even for the owner.
CREATE FUNCTION es.refuse_change() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  RAISE EXCEPTION USING ERRCODE = '42501', MESSAGE = format('%I.%I is append-only', TG_TABLE_SCHEMA, TG_TABLE_NAME);
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON es.event
  FOR EACH STATEMENT EXECUTE FUNCTION es.refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON es.idem
  FOR EACH STATEMENT EXECUTE FUNCTION es.refuse_change();

-- eventstore.chain computes the same three in Python.
CREATE FUNCTION es.shard(p_tenant text, p_stream uuid) RETURNS smallint LANGUAGE sql IMMUTABLE STRICT AS
$$ SELECT (get_byte(sha256(convert_to(p_tenant, 'UTF8') || uuid_send(p_stream)), 0) & 63)::smallint $$;

CREATE FUNCTION es.genesis(p_log text, p_shard int) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT AS
$$ SELECT sha256(convert_to('bayline.es.v1|' || p_log || '|' || p_shard, 'UTF8')) $$;

CREATE FUNCTION es.lp(b bytea) RETURNS bytea LANGUAGE sql IMMUTABLE STRICT AS
$$ SELECT int4send(octet_length(b)) || b $$;

-- What readers get: each event, the hash before it, the epoch. Never read it without (log, shard) or (log, tenant).
CREATE VIEW es.linked WITH (security_invoker = true) AS
SELECT e.log, e.shard, e.pos, e.tenant, e.stream, e.ver, e.event_id, e.type, e.occurred_at, e.recorded_at,
       e.data, e.meta, e.hash,
       coalesce((SELECT p.hash FROM es.event p WHERE p.log = e.log AND p.shard = e.shard AND p.pos = e.pos - 1),
                es.genesis(e.log, e.shard)) AS previous_hash,  -- not a join: without statistics it would scan the shard
       (SELECT epoch FROM es.store) AS epoch
  FROM es.event e;

-- One log per topic; called by the service's own migration.
CREATE FUNCTION es.create_log(p_log text) RETURNS void LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
  INSERT INTO es.head (log, shard, hash) SELECT p_log, g, es.genesis(p_log, g) FROM generate_series(0, 63) g;
  INSERT INTO es.relay_cursor (log, shard) SELECT p_log, g FROM generate_series(0, 63) g;
  INSERT INTO es.relay_lease (log, grp) VALUES (p_log, 0);
$$;

-- After a restore; consumers halt until somebody tells them to go on.
CREATE FUNCTION es.next_epoch() RETURNS uuid LANGUAGE sql SET search_path = pg_catalog, pg_temp AS
$$ UPDATE es.store SET epoch = gen_random_uuid() RETURNING epoch $$;

-- All of it or nothing: events, claims, and the key with its answer. Called in autocommit, so that no client can hold
-- the head. Each statement has a new snapshot (VOLATILE, READ COMMITTED): who held the lock before us is visible.
-- ES409: the stream is at version MESSAGE. ES422: the key was used by another request. ES423: DETAIL has holder and claim.
CREATE FUNCTION es.append(
  p_log text, p_tenant text, p_stream uuid, p_expected int, p_key text, p_fp bytea,
  p_ids uuid[], p_types text[], p_occurred timestamptz[], p_data bytea[], p_meta bytea[],
  p_known text[],                                             -- the scopes the caller knows
  p_scopes text[], p_keys text[], p_during tstzrange[]        -- ALL claims the stream holds in them after these events
) RETURNS TABLE (o_shard smallint, o_pos bigint, o_ver int, o_replayed bool, o_stream uuid)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  k smallint := es.shard(p_tenant, p_stream);
  n int := cardinality(p_ids);
  b bigint;
  h bytea;
  v int;
  t timestamptz;
  r es.idem;
  c record;
  o uuid;
BEGIN
  IF num_nulls(p_log, p_tenant, p_stream, p_expected, p_key, p_fp, p_ids, p_types, p_occurred, p_data, p_meta,
               p_known, p_scopes, p_keys, p_during) > 0 THEN  -- v <> NULL would skip the version check
    RAISE EXCEPTION USING ERRCODE = '22004', MESSAGE = 'null argument';
  END IF;
  IF cardinality(p_types) <> n OR cardinality(p_occurred) <> n OR cardinality(p_data) <> n OR cardinality(p_meta) <> n
     OR cardinality(p_keys) <> cardinality(p_scopes) OR cardinality(p_during) <> cardinality(p_scopes)
     OR NOT p_scopes <@ p_known THEN                          -- a short array would drop an event
    RAISE EXCEPTION USING ERRCODE = '22023', MESSAGE = 'arrays differ in length, or a claim is outside the known scopes';
  END IF;

  -- (0) one command at a time per key, whatever its shard; (1) the head before any look; (2) then look
  PERFORM pg_advisory_xact_lock(hashtextextended(p_tenant || E'\x01' || p_key, 1));
  SELECT s.pos, s.hash, s.at INTO STRICT b, h, t FROM es.head s WHERE s.log = p_log AND s.shard = k FOR UPDATE;
  SELECT * INTO r FROM es.idem i WHERE i.tenant = p_tenant AND i.key = p_key;
  IF FOUND THEN
    IF r.fp <> p_fp THEN
      RAISE EXCEPTION USING ERRCODE = 'ES422', MESSAGE = 'key used by another request';
    END IF;
    RETURN QUERY SELECT r.shard, r.last_pos, r.last_ver, true, r.stream;
    RETURN;
  END IF;
  SELECT coalesce(max(e.ver), 0) INTO v FROM es.event e WHERE e.tenant = p_tenant AND e.stream = p_stream;
  IF v <> p_expected THEN
    RAISE EXCEPTION USING ERRCODE = 'ES409', MESSAGE = v::text;
  END IF;

  DELETE FROM es.claim q
   WHERE q.tenant = p_tenant AND q.stream = p_stream AND q.scope = ANY (p_known)  -- a newer release's scopes stay
     AND NOT EXISTS (SELECT FROM unnest(p_scopes, p_keys, p_during) u(s, k, d)
                      WHERE (u.s, u.k, u.d) = (q.scope, q.key, q.during));
  FOR c IN                                                                        -- (3) sorted: no deadlock
    SELECT DISTINCT u.s, u.k, u.d FROM unnest(p_scopes, p_keys, p_during) u(s, k, d)
     WHERE NOT EXISTS (SELECT FROM es.claim q WHERE q.tenant = p_tenant AND q.stream = p_stream
                                                AND (q.scope, q.key, q.during) = (u.s, u.k, u.d))
     ORDER BY 1, 2, 3
  LOOP
    PERFORM pg_advisory_xact_lock(hashtextextended(p_tenant || E'\x01' || c.s || E'\x01' || c.k, 2));
    SELECT q.stream INTO o FROM es.claim q
     WHERE q.tenant = p_tenant AND q.scope = c.s AND q.key = c.k AND q.during && c.d AND q.stream <> p_stream LIMIT 1;
    IF FOUND THEN
      RAISE EXCEPTION USING ERRCODE = 'ES423', MESSAGE = 'claimed by another stream',
        DETAIL = json_build_object('scope', c.s, 'key', c.k, 'holder', o)::text;
    END IF;
    INSERT INTO es.claim VALUES (p_tenant, c.s, c.k, c.d, p_stream);
  END LOOP;

  t := greatest(clock_timestamp(), t + interval '1 microsecond');                 -- one instant per append, rising per shard
  FOR i IN 1..n LOOP
    h := sha256(h || es.lp(convert_to(p_log, 'UTF8')) || int2send(k) || int8send(b + i)
           || es.lp(convert_to(p_tenant, 'UTF8')) || uuid_send(p_stream) || int4send(v + i) || uuid_send(p_ids[i])
           || es.lp(convert_to(p_types[i], 'UTF8'))
           || int8send((extract(epoch FROM p_occurred[i]) * 1000000)::bigint)
           || int8send((extract(epoch FROM t) * 1000000)::bigint)
           || sha256(p_data[i]) || sha256(p_meta[i]));
    INSERT INTO es.event (log, shard, pos, tenant, stream, ver, event_id, type, occurred_at, recorded_at, data, meta, hash)
    VALUES (p_log, k, b + i, p_tenant, p_stream, v + i, p_ids[i], p_types[i], p_occurred[i], t, p_data[i], p_meta[i], h);
  END LOOP;
  IF n > 0 THEN
    UPDATE es.head s SET pos = b + n, hash = h, at = t WHERE s.log = p_log AND s.shard = k;
  END IF;
  INSERT INTO es.idem VALUES (p_tenant, p_key, p_fp, p_stream, v + n, p_log, k, b + n, t);
  RETURN QUERY SELECT k, b + n, v + n, false, p_stream;
END $$;

-- Events and the key's earlier use in ONE snapshot (STABLE), so that a retry is never decided on its own effect. A key
-- used before shows the stream it was used on, as it was then. A stream of another log is not there. Two statements and
-- not a join: without statistics the planner would read the whole tenant.
CREATE FUNCTION es.read(p_log text, p_tenant text, p_stream uuid, p_key text)
RETURNS TABLE (
  ver int, type text, occurred_at timestamptz, recorded_at timestamptz, event_id uuid, data bytea, meta bytea,
  used_fp bytea, used_stream uuid, used_ver int, used_log text, used_shard smallint, used_pos bigint
)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
  i es.idem;
BEGIN
  SELECT * INTO i FROM es.idem u WHERE u.tenant = p_tenant AND u.key = p_key;
  RETURN QUERY
    SELECT e.ver, e.type, e.occurred_at, e.recorded_at, e.event_id, e.data, e.meta,
           i.fp, i.stream, i.last_ver, i.log, i.shard, i.last_pos
      FROM es.event e
     WHERE e.tenant = p_tenant AND e.stream = coalesce(i.stream, p_stream)
       AND e.ver <= coalesce(i.last_ver, 2147483647) AND e.log = p_log
     ORDER BY e.ver;
  IF NOT FOUND THEN
    used_fp := i.fp;
    used_stream := i.stream;
    used_ver := i.last_ver;
    used_log := i.log;
    used_shard := i.shard;
    used_pos := i.last_pos;
    RETURN NEXT;
  END IF;
END $$;

-- The next of a gapless series: propose it, claim it in the append, and decide again when another took it.
CREATE FUNCTION es.next_number(p_tenant text, p_series text) RETURNS bigint
LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT coalesce(max(key::bigint), 0) + 1 FROM es.claim
   WHERE tenant = p_tenant AND scope = 'number/' || p_series AND scope LIKE 'number/%'
$$;

-- Who may what. The request path has no rights on tables; the relay reads all tenants and is unreachable from it.
ALTER TABLE es.event ENABLE ROW LEVEL SECURITY;
ALTER TABLE es.idem ENABLE ROW LEVEL SECURITY;
ALTER TABLE es.claim ENABLE ROW LEVEL SECURITY;
CREATE POLICY relay_reads_all ON es.event FOR SELECT TO {relay} USING (true);

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA es FROM PUBLIC;
GRANT USAGE ON SCHEMA es TO {app}, {relay};
GRANT EXECUTE ON FUNCTION es.append, es.read, es.next_number TO {app};
GRANT EXECUTE ON FUNCTION es.genesis TO {relay};
GRANT SELECT ON es.store, es.head, es.event, es.linked, es.relay_lease, es.relay_cursor TO {relay};
GRANT UPDATE (owner, fence, until) ON es.relay_lease TO {relay};
GRANT UPDATE (pos) ON es.relay_cursor TO {relay};
