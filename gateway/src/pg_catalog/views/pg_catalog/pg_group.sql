-- Roles that may not log in, with their direct members.
SELECT g.rolname AS groname, g.oid AS grosysid, COALESCE(m.members, ARRAY[]::oid[]) AS grolist
FROM pg_catalog.pg_authid AS g
LEFT JOIN (SELECT roleid, array_agg(member) AS members FROM pg_catalog.pg_auth_members GROUP BY roleid) AS m ON m.roleid = g.oid
WHERE NOT g.rolcanlogin
