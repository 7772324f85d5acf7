-- Keys of subjects, wrapped outside. Forgetting destroys the key and keeps the row, so that no new one is ever made.
CREATE SCHEMA keyring;

CREATE TABLE keyring.subject_key (
  tenant text CHECK (tenant <> ''),
  subject text CHECK (subject <> ''),
  key_id uuid,
  wrapped bytea,
  created_at timestamptz NOT NULL DEFAULT now(),
  forgotten_at timestamptz,
  CHECK ((key_id IS NULL) = (wrapped IS NULL) AND (wrapped IS NULL) = (forgotten_at IS NOT NULL)),
  PRIMARY KEY (tenant, subject)
);
ALTER TABLE keyring.subject_key ENABLE ROW LEVEL SECURITY;

CREATE FUNCTION keyring.unwrap(p_tenant text, p_subjects text[])
RETURNS TABLE (subject text, key_id uuid, wrapped bytea)
LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  SELECT k.subject, k.key_id, k.wrapped FROM keyring.subject_key k
   WHERE k.tenant = p_tenant AND k.subject = ANY (p_subjects)
$$;

-- The key there is, else this one: racers get the same. KR410 for a forgotten subject.
CREATE FUNCTION keyring.create(p_tenant text, p_subject text, p_key_id uuid, p_wrapped bytea)
RETURNS TABLE (key_id uuid, wrapped bytea)
LANGUAGE plpgsql STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  INSERT INTO keyring.subject_key (tenant, subject, key_id, wrapped)
  VALUES (p_tenant, p_subject, p_key_id, p_wrapped) ON CONFLICT DO NOTHING;
  RETURN QUERY SELECT k.key_id, k.wrapped FROM keyring.subject_key k
                WHERE k.tenant = p_tenant AND k.subject = p_subject AND k.forgotten_at IS NULL;
  IF NOT FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'KR410', MESSAGE = 'the subject was forgotten';
  END IF;
END $$;

CREATE FUNCTION keyring.forget(p_tenant text, p_subject text) RETURNS void
LANGUAGE sql STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
  INSERT INTO keyring.subject_key AS k (tenant, subject, forgotten_at) VALUES (p_tenant, p_subject, now())
  ON CONFLICT (tenant, subject) DO UPDATE SET key_id = NULL, wrapped = NULL, forgotten_at = now()
   WHERE k.forgotten_at IS NULL
$$;

-- Services unwrap and create. Nobody is granted forget until there is an erasure command.
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA keyring FROM PUBLIC;
GRANT USAGE ON SCHEMA keyring TO {users};
GRANT EXECUTE ON FUNCTION keyring.unwrap, keyring.create TO {users};
