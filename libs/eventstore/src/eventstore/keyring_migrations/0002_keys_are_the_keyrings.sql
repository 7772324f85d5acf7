-- Other services ask the keyring itself, which knows what each may know: whoever was let in here before is so no more.
DO $$
DECLARE
  stranger text;
BEGIN
  FOR stranger IN
    SELECT DISTINCT a.grantee::regrole::text
      FROM pg_proc p, aclexplode(p.proacl) a
     WHERE p.pronamespace = 'keyring'::regnamespace
       AND a.grantee NOT IN (0, p.proowner, '{app}'::regrole)
  LOOP
    EXECUTE 'REVOKE ALL ON ALL FUNCTIONS IN SCHEMA keyring FROM ' || stranger;
    EXECUTE 'REVOKE ALL ON SCHEMA keyring FROM ' || stranger;
  END LOOP;
END $$;
