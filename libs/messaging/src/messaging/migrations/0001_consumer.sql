-- Where each consumer stands in each log, what it parked, and whether it runs.
CREATE SCHEMA consumer;

CREATE TABLE consumer.status (
  name text PRIMARY KEY,
  state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'halted')),
  reason text NOT NULL DEFAULT '',
  log text NOT NULL DEFAULT '',                  -- the log that halted it last
  epoch text NOT NULL DEFAULT '',                -- the epoch it met there
  rebuild_needed bigint NOT NULL DEFAULT 0,      -- events of a kind this release did not know
  since timestamptz NOT NULL DEFAULT clock_timestamp());

CREATE TABLE consumer.cursor (
  name text NOT NULL, log text NOT NULL, shard smallint NOT NULL,
  pos bigint NOT NULL, hash bytea NOT NULL,
  epoch text NOT NULL DEFAULT '',                -- '' until the first event
  unproven boolean NOT NULL DEFAULT false,       -- read the store, not the topic, until now
  partition smallint GENERATED ALWAYS AS (shard % 16) STORED,
  kafka_offset bigint NOT NULL DEFAULT -1,       -- a hint where to seek, and for lag figures
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (name, log, shard)) WITH (fillfactor = 50);

CREATE TABLE consumer.parked_stream (
  name text NOT NULL, log text NOT NULL, tenant text NOT NULL, stream text NOT NULL,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (name, log, tenant, stream));

CREATE TABLE consumer.parked (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL, log text NOT NULL,
  shard smallint, pos bigint,                    -- NULL, like tenant and stream '', for a record that no relay of ours published
  tenant text NOT NULL DEFAULT '', stream text NOT NULL DEFAULT '',
  error text NOT NULL,
  kafka_partition smallint NOT NULL, kafka_offset bigint NOT NULL,   -- offset -1: it came from the store
  key bytea, header_names text[] NOT NULL, header_values bytea[] NOT NULL, value bytea,
  parked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  relayed_at timestamptz,
  UNIQUE (name, log, shard, pos));
CREATE UNIQUE INDEX ON consumer.parked (name, log, kafka_partition, kafka_offset) WHERE pos IS NULL;
CREATE INDEX ON consumer.parked (name, log, tenant, stream, pos);
CREATE INDEX ON consumer.parked (id) WHERE relayed_at IS NULL;

CREATE TABLE consumer.discarded (
  id bigint PRIMARY KEY,                         -- of consumer.parked
  name text NOT NULL, log text NOT NULL, shard smallint, pos bigint, tenant text NOT NULL, stream text NOT NULL,
  error text NOT NULL, key bytea, header_names text[] NOT NULL, header_values bytea[] NOT NULL, value bytea,
  parked_at timestamptz NOT NULL,
  discarded_by text NOT NULL CHECK (discarded_by <> ''),
  discarded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  reason text NOT NULL CHECK (reason <> ''));

GRANT USAGE ON SCHEMA consumer TO {projector}, {app};
GRANT SELECT ON consumer.cursor TO {app};        -- to wait for its own writes
GRANT SELECT, INSERT, UPDATE ON consumer.status, consumer.cursor TO {projector};
GRANT SELECT, INSERT, UPDATE, DELETE ON consumer.parked_stream, consumer.parked TO {projector};
GRANT SELECT, INSERT ON consumer.discarded TO {projector};
