-- What is listed and counted: all of it can be dropped and projected again. Requests see the rows of
-- their tenant and no others; a projector takes the tenant from the event.
CREATE SCHEMA read;

-- technician.roster: each row is a technician's stream, folded. The name stays sealed.
CREATE TABLE read.technician (
  tenant text NOT NULL CHECK (tenant <> ''),
  technician uuid NOT NULL,
  version int NOT NULL,
  site uuid NOT NULL,
  personnel_number text NOT NULL,
  active boolean NOT NULL,
  display_name jsonb NOT NULL,
  certifications jsonb NOT NULL,
  PRIMARY KEY (tenant, technician)
);
CREATE INDEX technician_by_number ON read.technician (tenant, personnel_number, technician);

-- technician.workload: a row for each job, and one for each of its clocks; what a technician has done
-- is summed when asked for, so that no row is fed by two streams.
CREATE TABLE read.job (
  tenant text NOT NULL CHECK (tenant <> ''),
  job uuid NOT NULL,
  version int NOT NULL,
  technician uuid,
  is_open boolean NOT NULL,
  completions int NOT NULL,
  clocks jsonb NOT NULL,
  PRIMARY KEY (tenant, job)
);
CREATE INDEX job_of_technician ON read.job (tenant, technician) WHERE is_open;
CREATE TABLE read.clock (
  tenant text NOT NULL CHECK (tenant <> ''),
  job uuid NOT NULL,
  labour int NOT NULL,
  technician uuid NOT NULL,
  started_at timestamptz NOT NULL,
  stopped_at timestamptz,
  PRIMARY KEY (tenant, job, labour)
);
CREATE INDEX clock_of_technician ON read.clock (tenant, technician);

DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['technician', 'job', 'clock']
  LOOP
    EXECUTE format('ALTER TABLE read.%I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE read.%I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY of_tenant ON read.%I FOR SELECT TO {app} USING (tenant = current_setting(''app.tenant'', true))', t);
    EXECUTE format('CREATE POLICY of_any_tenant ON read.%I TO {projector} USING (true) WITH CHECK (true)', t);
  END LOOP;
END $$;

GRANT USAGE ON SCHEMA read TO {app}, {projector};
GRANT SELECT ON ALL TABLES IN SCHEMA read TO {app};
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA read TO {projector};
