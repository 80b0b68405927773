SELECT actor, min(event_time) AS first_event_time, max(event_time) AS last_event_time,
       max(source_ip_address) AS source_ip_address, max(auth_method) AS auth_method, count(*) AS logins
FROM system.access.audit
WHERE action_name = 'login' AND status = 'success' AND request_params ->> 'tls' = 'false'
  AND source_ip_address NOT LIKE '127.%' AND source_ip_address <> '::1' AND event_time > now() - interval '1 hour'
GROUP BY actor
