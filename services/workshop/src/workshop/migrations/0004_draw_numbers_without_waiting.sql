-- The commit of the append that uses a number makes its drawing durable too: no disk is waited for twice.
CREATE OR REPLACE FUNCTION number.next_job(p_tenant text) RETURNS bigint
LANGUAGE sql VOLATILE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT set_config('synchronous_commit', 'off', true);
  INSERT INTO number.job AS n (tenant, last) VALUES (p_tenant, 1001)
  ON CONFLICT (tenant) DO UPDATE SET last = n.last + 1
  RETURNING last
$$;
