-- Events that a consumer without a read model passed over, and that a person has seen to: nothing can be built anew.
CREATE TABLE consumer.cleared (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  name text NOT NULL,
  events bigint NOT NULL CHECK (events > 0),
  cleared_by text NOT NULL CHECK (cleared_by <> ''),
  cleared_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  reason text NOT NULL CHECK (reason <> ''));

GRANT SELECT, INSERT ON consumer.cleared TO {projector};
