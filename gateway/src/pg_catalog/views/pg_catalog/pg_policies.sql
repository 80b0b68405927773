-- Row-level security policies, readable.
SELECT n.nspname AS schemaname, c.relname AS tablename, pol.polname AS policyname,
    CASE WHEN pol.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END AS permissive,
    CASE WHEN pol.polroles = '{0}'::oid[] THEN ARRAY['public']::name[]
        ELSE ARRAY(SELECT a.rolname FROM pg_catalog.pg_authid AS a WHERE a.oid = ANY (pol.polroles) ORDER BY a.rolname) END AS roles,
    CASE pol.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' WHEN '*' THEN 'ALL' END AS cmd,
    pg_catalog.pg_get_expr(pol.polqual, pol.polrelid) AS qual, pg_catalog.pg_get_expr(pol.polwithcheck, pol.polrelid) AS with_check
FROM pg_catalog.pg_policy AS pol
JOIN pg_catalog.pg_class AS c ON c.oid = pol.polrelid
LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
