-- 19-session.sql: whom a session acts for when it does not say.

CREATE FUNCTION fleet.session_tenant() RETURNS integer
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'session_tenant';
COMMENT ON FUNCTION fleet.session_tenant() IS
    'The tenant that is meant when none is named: that of the session''s token, else the only one that its role is bound to, else 1';
