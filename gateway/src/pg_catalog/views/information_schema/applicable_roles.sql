SELECT m.rolname AS grantee, r.rolname AS role_name,
    CASE WHEN g.admin_option THEN 'YES'::varchar(3) ELSE 'NO'::varchar(3) END::varchar(3) AS is_grantable
FROM pg_catalog.pg_auth_members AS g
JOIN pg_catalog.pg_authid AS m ON m.oid = g.member
JOIN pg_catalog.pg_authid AS r ON r.oid = g.roleid
WHERE pg_catalog.pg_has_role(m.oid, 'USAGE')
