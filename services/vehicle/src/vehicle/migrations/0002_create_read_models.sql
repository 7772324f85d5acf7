-- What is listed: all of it can be dropped and projected again. Requests see the rows of their tenant
-- and no others; a projector takes the tenant from the event.
CREATE SCHEMA read;

-- vehicle.vehicle-list: each row is a vehicle's stream, folded.
CREATE TABLE read.vehicle (
  tenant text NOT NULL CHECK (tenant <> ''),
  vehicle uuid NOT NULL,
  version int NOT NULL,
  vin text NOT NULL,
  vin_region text NOT NULL,
  plate text NOT NULL,
  asset_number text NOT NULL,
  make text NOT NULL,
  model text NOT NULL,
  model_year int NOT NULL,
  site uuid,
  formerly uuid,
  warnings jsonb NOT NULL,
  sold boolean NOT NULL,
  PRIMARY KEY (tenant, vehicle)
);
CREATE INDEX vehicle_by_asset_number ON read.vehicle (tenant, asset_number, vehicle);

-- vehicle.service-history: a row for each job with all it tells, and one for each of its visits.
CREATE TABLE read.job (
  tenant text NOT NULL CHECK (tenant <> ''),
  job uuid NOT NULL,
  version int NOT NULL,
  number text NOT NULL,
  vehicle uuid NOT NULL,
  codes jsonb NOT NULL,
  stays jsonb NOT NULL,
  PRIMARY KEY (tenant, job)
);
CREATE TABLE read.visit (
  tenant text NOT NULL CHECK (tenant <> ''),
  job uuid NOT NULL,
  visit int NOT NULL,
  vehicle uuid NOT NULL,
  number text NOT NULL,
  state text NOT NULL,
  requested_at timestamptz NOT NULL,
  released_at timestamptz,
  meter_in jsonb,
  codes jsonb NOT NULL,
  net jsonb,
  PRIMARY KEY (tenant, job, visit)
);
CREATE INDEX visit_of_vehicle ON read.visit (tenant, vehicle, requested_at DESC, job DESC, visit DESC);

DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['vehicle', 'job', 'visit']
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
