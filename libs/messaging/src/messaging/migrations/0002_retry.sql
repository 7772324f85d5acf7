-- Retries of parked events, asked for by a person and done by the consumer, which has the projection.
CREATE TABLE consumer.retry (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL,
  asked_by text NOT NULL CHECK (asked_by <> ''),
  asked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  applied bigint NOT NULL DEFAULT 0,             -- events
  failed bigint NOT NULL DEFAULT 0,              -- streams that stay parked
  done_at timestamptz);
CREATE INDEX ON consumer.retry (name) WHERE done_at IS NULL;

GRANT SELECT ON consumer.retry TO {projector};
GRANT UPDATE (applied, failed, done_at) ON consumer.retry TO {projector};
