-- Readable job numbers, from 1001 on. They may have gaps: a number is drawn before the job is decided.
CREATE SCHEMA number;
CREATE TABLE number.job (
  tenant text PRIMARY KEY CHECK (tenant <> ''),
  last bigint NOT NULL
) WITH (fillfactor = 50);

CREATE FUNCTION number.next_job(p_tenant text) RETURNS bigint
LANGUAGE sql VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  INSERT INTO number.job AS n (tenant, last) VALUES (p_tenant, 1001)
  ON CONFLICT (tenant) DO UPDATE SET last = n.last + 1
  RETURNING last
$$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA number FROM PUBLIC;
GRANT USAGE ON SCHEMA number TO {app};
GRANT EXECUTE ON FUNCTION number.next_job TO {app};
