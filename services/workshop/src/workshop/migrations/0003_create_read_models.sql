-- What is listed, searched and asked for as a fact: all of it can be dropped and projected again.
-- Requests see the rows of their tenant and no others; a projector takes the tenant from the event.
CREATE EXTENSION IF NOT EXISTS pg_trgm;
CREATE SCHEMA read;

-- workshop.job-list: one row per job, a view of its folded stream.
CREATE TABLE read.job (
  tenant text NOT NULL CHECK (tenant <> ''),
  job uuid NOT NULL,
  version int NOT NULL,
  number text NOT NULL,
  state text NOT NULL,
  site uuid NOT NULL,
  vehicle uuid NOT NULL,
  priority text,
  technician uuid,
  requester text NOT NULL,
  promised_at timestamptz,
  requested_at timestamptz NOT NULL,
  changed_at timestamptz NOT NULL,
  booked_bay uuid,
  booked_from timestamptz,
  booked_until timestamptz,
  occupied_bay uuid,
  sequence bigint NOT NULL GENERATED ALWAYS AS (substring(number FROM '[0-9]+$')::bigint) STORED,
  urgency int NOT NULL GENERATED ALWAYS AS
    (coalesce(array_position(ARRAY['SCHEDULED', 'NON_SCHEDULED', 'EMERGENCY'], priority), 0)) STORED,
  promised timestamptz NOT NULL GENERATED ALWAYS AS (coalesce(promised_at, 'infinity')) STORED,
  PRIMARY KEY (tenant, job)
);
CREATE INDEX job_by_request ON read.job (tenant, requested_at, job);
CREATE INDEX job_by_change ON read.job (tenant, changed_at, job);
CREATE INDEX job_by_promise ON read.job (tenant, promised, job);
CREATE INDEX job_by_urgency ON read.job (tenant, urgency, job);
CREATE INDEX job_by_sequence ON read.job (tenant, sequence, job);
CREATE INDEX job_by_number ON read.job (tenant, number text_pattern_ops);
CREATE INDEX job_of_vehicle ON read.job (tenant, vehicle);
CREATE INDEX job_of_technician ON read.job (tenant, technician);
CREATE INDEX job_in_calendar ON read.job (tenant, site, booked_from) WHERE booked_bay IS NOT NULL;

-- Lines a job deferred, and lines a job took back from another: each row is of one job only, so that
-- a line is offered at the next check-in whichever of the two jobs is projected first.
CREATE TABLE read.deferred_line (
  tenant text NOT NULL CHECK (tenant <> ''),
  job uuid NOT NULL,
  line int NOT NULL,
  vehicle uuid NOT NULL,
  PRIMARY KEY (tenant, job, line)
);
CREATE INDEX deferred_line_of_vehicle ON read.deferred_line (tenant, vehicle);
CREATE TABLE read.returned_line (
  tenant text NOT NULL CHECK (tenant <> ''),
  job uuid NOT NULL,
  from_job uuid NOT NULL,
  from_line int NOT NULL,
  PRIMARY KEY (tenant, from_job, from_line, job)
);
CREATE INDEX returned_line_of_job ON read.returned_line (tenant, job);

-- When each technician's clock was started: what a certificate revoked in retrospect is held against.
CREATE TABLE read.clock (
  tenant text NOT NULL CHECK (tenant <> ''),
  job uuid NOT NULL,
  labour int NOT NULL,
  technician uuid NOT NULL,
  started_at timestamptz NOT NULL,
  PRIMARY KEY (tenant, job, labour)
);
CREATE INDEX clock_of_technician ON read.clock (tenant, technician, started_at);

-- workshop.site-list
CREATE TABLE read.site (
  tenant text NOT NULL CHECK (tenant <> ''),
  site uuid NOT NULL,
  version int NOT NULL,
  title text NOT NULL,
  PRIMARY KEY (tenant, site)
);
CREATE INDEX site_by_title ON read.site (tenant, title, site);

-- workshop.fleet: what the job rules know of vehicles.
CREATE TABLE read.vehicle (
  tenant text NOT NULL CHECK (tenant <> ''),
  vehicle uuid NOT NULL,
  version int NOT NULL,
  vin text NOT NULL,
  plate text NOT NULL,
  sold boolean NOT NULL,
  PRIMARY KEY (tenant, vehicle)
);
CREATE INDEX vehicle_like ON read.vehicle USING gin (plate gin_trgm_ops, vin gin_trgm_ops);

-- workshop.roster: what the job rules know of technicians; `certifications` has each grant ever made.
CREATE TABLE read.technician (
  tenant text NOT NULL CHECK (tenant <> ''),
  technician uuid NOT NULL,
  version int NOT NULL,
  active boolean NOT NULL,
  certifications jsonb NOT NULL,
  PRIMARY KEY (tenant, technician)
);

-- Part of a plate or VIN. LIKE is not leakproof: under row level security its index is never used, so this
-- function looks past it, for one tenant only: the one that is set.
CREATE FUNCTION read.vehicles_like(p_part text) RETURNS SETOF uuid
LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT vehicle FROM read.vehicle
   WHERE (plate LIKE '%' || p_part || '%' OR vin LIKE '%' || p_part || '%')
     AND tenant = current_setting('app.tenant', true)
$$;

DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['job', 'deferred_line', 'returned_line', 'clock', 'site', 'vehicle', 'technician']
  LOOP
    EXECUTE format('ALTER TABLE read.%I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE read.%I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY of_tenant ON read.%I FOR SELECT TO {app} USING (tenant = current_setting(''app.tenant'', true))', t);
    EXECUTE format('CREATE POLICY of_any_tenant ON read.%I TO {projector} USING (true) WITH CHECK (true)', t);
  END LOOP;
END $$;
CREATE POLICY search ON read.vehicle FOR SELECT TO {owner} USING (true);

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA read FROM PUBLIC;
GRANT USAGE ON SCHEMA read TO {app}, {projector};
GRANT EXECUTE ON FUNCTION read.vehicles_like TO {app};
GRANT SELECT ON ALL TABLES IN SCHEMA read TO {app};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA read TO {projector};
