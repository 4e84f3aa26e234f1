-- 11-geopoint.sql: type geopoint.

CREATE TYPE fleet.geopoint;

CREATE FUNCTION fleet.geopoint_in(cstring) RETURNS fleet.geopoint
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
CREATE FUNCTION fleet.geopoint_out(fleet.geopoint) RETURNS cstring
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
CREATE FUNCTION fleet.geopoint_recv(internal) RETURNS fleet.geopoint
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
CREATE FUNCTION fleet.geopoint_send(fleet.geopoint) RETURNS bytea
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';

CREATE TYPE fleet.geopoint (
    INPUT = fleet.geopoint_in,
    OUTPUT = fleet.geopoint_out,
    RECEIVE = fleet.geopoint_recv,
    SEND = fleet.geopoint_send,
    LIKE = pg_catalog.int8,
    CATEGORY = 'U'
);
COMMENT ON TYPE fleet.geopoint IS 'Position on WGS 84 in 8 bytes, to 1e-7 degree: (latitude,longitude)';
COMMENT ON FUNCTION fleet.geopoint_in(cstring) IS 'I/O';
COMMENT ON FUNCTION fleet.geopoint_out(fleet.geopoint) IS 'I/O';
COMMENT ON FUNCTION fleet.geopoint_recv(internal) IS 'I/O';
COMMENT ON FUNCTION fleet.geopoint_send(fleet.geopoint) IS 'I/O';

-- constructor and accessors

CREATE FUNCTION fleet.geopoint(latitude double precision, longitude double precision) RETURNS fleet.geopoint
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'geopoint_make';
COMMENT ON FUNCTION fleet.geopoint(double precision, double precision) IS 'Position from degrees, rounded to 1e-7';

CREATE FUNCTION fleet.latitude(fleet.geopoint) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'geopoint_latitude';
COMMENT ON FUNCTION fleet.latitude(fleet.geopoint) IS 'Latitude in degrees, north positive';

CREATE FUNCTION fleet.longitude(fleet.geopoint) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'geopoint_longitude';
COMMENT ON FUNCTION fleet.longitude(fleet.geopoint) IS 'Longitude in degrees, east positive';

CREATE FUNCTION fleet.distance_m(fleet.geopoint, fleet.geopoint) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'geopoint_distance';
COMMENT ON FUNCTION fleet.distance_m(fleet.geopoint, fleet.geopoint) IS 'Great-circle distance in metres on a sphere of radius 6371008.8 m';

CREATE FUNCTION fleet.bearing(from_point fleet.geopoint, to_point fleet.geopoint) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'geopoint_bearing';
COMMENT ON FUNCTION fleet.bearing(fleet.geopoint, fleet.geopoint) IS 'Initial bearing in degrees clockwise from north, 0 to below 360; null between equal points';

CREATE OPERATOR fleet.<-> (
    LEFTARG = fleet.geopoint, RIGHTARG = fleet.geopoint,
    FUNCTION = fleet.distance_m, COMMUTATOR = OPERATOR(fleet.<->)
);
COMMENT ON OPERATOR fleet.<-> (fleet.geopoint, fleet.geopoint) IS 'Great-circle distance in metres';

-- casts; none is implicit, because ST_Distance and its like would then silently
-- answer in degrees

CREATE FUNCTION fleet.geopoint_from_parts(srid integer, geometry_type text, empty boolean,
        latitude double precision, longitude double precision) RETURNS fleet.geopoint
    LANGUAGE c IMMUTABLE CALLED ON NULL INPUT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.geopoint_from_parts(integer, text, boolean, double precision, double precision) IS 'Internal: the checks of the casts to geopoint';

CREATE FUNCTION fleet.geometry(fleet.geopoint) RETURNS geometry
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT ST_SetSRID(ST_MakePoint(fleet.longitude($1), fleet.latitude($1)), 4326);
END;
COMMENT ON FUNCTION fleet.geometry(fleet.geopoint) IS 'PostGIS geometry(Point,4326)';

CREATE FUNCTION fleet.geography(fleet.geopoint) RETURNS geography
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT CAST(ST_SetSRID(ST_MakePoint(fleet.longitude($1), fleet.latitude($1)), 4326) AS geography);
END;
COMMENT ON FUNCTION fleet.geography(fleet.geopoint) IS 'PostGIS geography(Point)';

CREATE FUNCTION fleet.geopoint(geometry) RETURNS fleet.geopoint
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT fleet.geopoint_from_parts(ST_SRID($1), ST_GeometryType($1), ST_IsEmpty($1),
        CASE WHEN ST_GeometryType($1) = 'ST_Point' THEN ST_Y($1) END,
        CASE WHEN ST_GeometryType($1) = 'ST_Point' THEN ST_X($1) END);
END;
COMMENT ON FUNCTION fleet.geopoint(geometry) IS 'Position of a point in SRID 4326, rounded to 1e-7 degree; Z and M are dropped';

CREATE FUNCTION fleet.geopoint(geography) RETURNS fleet.geopoint
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT fleet.geopoint(CAST($1 AS geometry));
END;
COMMENT ON FUNCTION fleet.geopoint(geography) IS 'Position of a point, rounded to 1e-7 degree';

CREATE CAST (fleet.geopoint AS geometry) WITH FUNCTION fleet.geometry(fleet.geopoint) AS ASSIGNMENT;
COMMENT ON CAST (fleet.geopoint AS geometry) IS 'Point in SRID 4326';
CREATE CAST (fleet.geopoint AS geography) WITH FUNCTION fleet.geography(fleet.geopoint) AS ASSIGNMENT;
COMMENT ON CAST (fleet.geopoint AS geography) IS 'Point';
CREATE CAST (geometry AS fleet.geopoint) WITH FUNCTION fleet.geopoint(geometry) AS ASSIGNMENT;
COMMENT ON CAST (geometry AS fleet.geopoint) IS 'Only a point in SRID 4326 that is not empty';
CREATE CAST (geography AS fleet.geopoint) WITH FUNCTION fleet.geopoint(geography) AS ASSIGNMENT;
COMMENT ON CAST (geography AS fleet.geopoint) IS 'Only a point that is not empty';

-- comparison, by latitude, then longitude

CREATE FUNCTION fleet.geopoint_eq(fleet.geopoint, fleet.geopoint) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.geopoint_eq(fleet.geopoint, fleet.geopoint) IS 'Implementation of the operator =';
CREATE FUNCTION fleet.geopoint_ne(fleet.geopoint, fleet.geopoint) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.geopoint_ne(fleet.geopoint, fleet.geopoint) IS 'Implementation of the operator <>';
CREATE FUNCTION fleet.geopoint_lt(fleet.geopoint, fleet.geopoint) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.geopoint_lt(fleet.geopoint, fleet.geopoint) IS 'Implementation of the operator <';
CREATE FUNCTION fleet.geopoint_le(fleet.geopoint, fleet.geopoint) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.geopoint_le(fleet.geopoint, fleet.geopoint) IS 'Implementation of the operator <=';
CREATE FUNCTION fleet.geopoint_gt(fleet.geopoint, fleet.geopoint) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.geopoint_gt(fleet.geopoint, fleet.geopoint) IS 'Implementation of the operator >';
CREATE FUNCTION fleet.geopoint_ge(fleet.geopoint, fleet.geopoint) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.geopoint_ge(fleet.geopoint, fleet.geopoint) IS 'Implementation of the operator >=';
CREATE FUNCTION fleet.geopoint_cmp(fleet.geopoint, fleet.geopoint) RETURNS integer
    LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.geopoint_cmp(fleet.geopoint, fleet.geopoint) IS 'btree support: less, equal, greater';
CREATE FUNCTION fleet.geopoint_hash(fleet.geopoint) RETURNS integer
    LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.geopoint_hash(fleet.geopoint) IS 'hash support';
CREATE FUNCTION fleet.geopoint_hash_extended(fleet.geopoint, bigint) RETURNS bigint
    LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.geopoint_hash_extended(fleet.geopoint, bigint) IS 'hash support with a seed';

CREATE OPERATOR fleet.= (
    LEFTARG = fleet.geopoint, RIGHTARG = fleet.geopoint, FUNCTION = fleet.geopoint_eq,
    COMMUTATOR = OPERATOR(fleet.=), NEGATOR = OPERATOR(fleet.<>),
    RESTRICT = pg_catalog.eqsel, JOIN = pg_catalog.eqjoinsel, HASHES, MERGES
);
COMMENT ON OPERATOR fleet.= (fleet.geopoint, fleet.geopoint) IS 'Equal';

CREATE OPERATOR fleet.<> (
    LEFTARG = fleet.geopoint, RIGHTARG = fleet.geopoint, FUNCTION = fleet.geopoint_ne,
    COMMUTATOR = OPERATOR(fleet.<>), NEGATOR = OPERATOR(fleet.=),
    RESTRICT = pg_catalog.neqsel, JOIN = pg_catalog.neqjoinsel
);
COMMENT ON OPERATOR fleet.<> (fleet.geopoint, fleet.geopoint) IS 'Not equal';

CREATE OPERATOR fleet.< (
    LEFTARG = fleet.geopoint, RIGHTARG = fleet.geopoint, FUNCTION = fleet.geopoint_lt,
    COMMUTATOR = OPERATOR(fleet.>), NEGATOR = OPERATOR(fleet.>=),
    RESTRICT = pg_catalog.scalarltsel, JOIN = pg_catalog.scalarltjoinsel
);
COMMENT ON OPERATOR fleet.< (fleet.geopoint, fleet.geopoint) IS 'Less, by latitude, then longitude';

CREATE OPERATOR fleet.<= (
    LEFTARG = fleet.geopoint, RIGHTARG = fleet.geopoint, FUNCTION = fleet.geopoint_le,
    COMMUTATOR = OPERATOR(fleet.>=), NEGATOR = OPERATOR(fleet.>),
    RESTRICT = pg_catalog.scalarlesel, JOIN = pg_catalog.scalarlejoinsel
);
COMMENT ON OPERATOR fleet.<= (fleet.geopoint, fleet.geopoint) IS 'Less or equal, by latitude, then longitude';

CREATE OPERATOR fleet.> (
    LEFTARG = fleet.geopoint, RIGHTARG = fleet.geopoint, FUNCTION = fleet.geopoint_gt,
    COMMUTATOR = OPERATOR(fleet.<), NEGATOR = OPERATOR(fleet.<=),
    RESTRICT = pg_catalog.scalargtsel, JOIN = pg_catalog.scalargtjoinsel
);
COMMENT ON OPERATOR fleet.> (fleet.geopoint, fleet.geopoint) IS 'Greater, by latitude, then longitude';

CREATE OPERATOR fleet.>= (
    LEFTARG = fleet.geopoint, RIGHTARG = fleet.geopoint, FUNCTION = fleet.geopoint_ge,
    COMMUTATOR = OPERATOR(fleet.<=), NEGATOR = OPERATOR(fleet.<),
    RESTRICT = pg_catalog.scalargesel, JOIN = pg_catalog.scalargejoinsel
);
COMMENT ON OPERATOR fleet.>= (fleet.geopoint, fleet.geopoint) IS 'Greater or equal, by latitude, then longitude';

CREATE OPERATOR CLASS fleet.geopoint_ops DEFAULT FOR TYPE fleet.geopoint USING btree AS
    OPERATOR 1 fleet.<, OPERATOR 2 fleet.<=, OPERATOR 3 fleet.=, OPERATOR 4 fleet.>=, OPERATOR 5 fleet.>,
    FUNCTION 1 fleet.geopoint_cmp(fleet.geopoint, fleet.geopoint),
    FUNCTION 4 pg_catalog.btequalimage(oid);
COMMENT ON OPERATOR FAMILY fleet.geopoint_ops USING btree IS 'Order of geopoint';
COMMENT ON OPERATOR CLASS fleet.geopoint_ops USING btree IS 'Order of geopoint';
CREATE OPERATOR CLASS fleet.geopoint_ops DEFAULT FOR TYPE fleet.geopoint USING hash AS
    OPERATOR 1 fleet.=,
    FUNCTION 1 fleet.geopoint_hash(fleet.geopoint),
    FUNCTION 2 fleet.geopoint_hash_extended(fleet.geopoint, bigint);
COMMENT ON OPERATOR FAMILY fleet.geopoint_ops USING hash IS 'Equality of geopoint';
COMMENT ON OPERATOR CLASS fleet.geopoint_ops USING hash IS 'Equality of geopoint';
