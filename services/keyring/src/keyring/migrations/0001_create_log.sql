-- The log of who was forgotten. Its events and the end of the key are one transaction: the claim that comes with the
-- event destroys the key, so nobody needs the right to do it, and no event is there without its effect.
SELECT es.create_log('bayline.keyring.v1.SubjectEvent');

CREATE FUNCTION keyring.forget_claimed() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
  PERFORM keyring.forget(NEW.tenant, NEW.key);
  RETURN NULL;
END $$;
CREATE TRIGGER forget AFTER INSERT ON es.claim
  FOR EACH ROW WHEN (NEW.scope = 'forgotten') EXECUTE FUNCTION keyring.forget_claimed();

REVOKE ALL ON FUNCTION keyring.forget_claimed FROM PUBLIC;
