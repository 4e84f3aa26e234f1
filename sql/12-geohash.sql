-- 12-geohash.sql: type geohash.

CREATE TYPE fleet.geohash;

CREATE FUNCTION fleet.geohash_in(cstring) RETURNS fleet.geohash
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.geohash_in(cstring) IS 'I/O';
CREATE FUNCTION fleet.geohash_out(fleet.geohash) RETURNS cstring
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.geohash_out(fleet.geohash) IS 'I/O';
CREATE FUNCTION fleet.geohash_recv(internal) RETURNS fleet.geohash
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.geohash_recv(internal) IS 'I/O';
CREATE FUNCTION fleet.geohash_send(fleet.geohash) RETURNS bytea
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.geohash_send(fleet.geohash) IS 'I/O';

CREATE TYPE fleet.geohash (
    INPUT = fleet.geohash_in,
    OUTPUT = fleet.geohash_out,
    RECEIVE = fleet.geohash_recv,
    SEND = fleet.geohash_send,
    LIKE = pg_catalog.int8,
    CATEGORY = 'U'
);
COMMENT ON TYPE fleet.geohash IS 'Cell of the geohash grid, 1 to 12 characters of base 32, in 8 bytes';

-- constructor, accessors, relatives

CREATE FUNCTION fleet.geohash(location fleet.geopoint, characters integer DEFAULT 6) RETURNS fleet.geohash
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'geohash_from_geopoint';
COMMENT ON FUNCTION fleet.geohash(fleet.geopoint, integer) IS 'Cell of a position; 6 characters (about 1.2 by 0.6 km) are the usual zone';
CREATE FUNCTION fleet.geohash_precision(fleet.geohash) RETURNS integer
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.geohash_precision(fleet.geohash) IS 'Number of characters';
CREATE FUNCTION fleet.geohash_centre(fleet.geohash) RETURNS fleet.geopoint
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.geohash_centre(fleet.geohash) IS 'Centre of the cell';
CREATE FUNCTION fleet.geohash_south(fleet.geohash) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.geohash_south(fleet.geohash) IS 'Southern edge of the cell in degrees; belongs to the cell';
CREATE FUNCTION fleet.geohash_west(fleet.geohash) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.geohash_west(fleet.geohash) IS 'Western edge of the cell in degrees; belongs to the cell';
CREATE FUNCTION fleet.geohash_north(fleet.geohash) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.geohash_north(fleet.geohash) IS 'Northern edge of the cell in degrees; belongs to the next cell';
CREATE FUNCTION fleet.geohash_east(fleet.geohash) RETURNS double precision
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.geohash_east(fleet.geohash) IS 'Eastern edge of the cell in degrees; belongs to the next cell';
CREATE FUNCTION fleet.geohash_parent(fleet.geohash) RETURNS fleet.geohash
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.geohash_parent(fleet.geohash) IS 'The cell of one character less; null when there is none';
CREATE FUNCTION fleet.geohash_parent(cell fleet.geohash, characters integer) RETURNS fleet.geohash
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'geohash_ancestor';
COMMENT ON FUNCTION fleet.geohash_parent(fleet.geohash, integer) IS 'The cell of so many characters around a cell';
CREATE FUNCTION fleet.geohash_children(fleet.geohash) RETURNS fleet.geohash[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.geohash_children(fleet.geohash) IS 'The 32 cells of one character more, in order; empty at 12 characters';
CREATE FUNCTION fleet.geohash_neighbour(cell fleet.geohash, east integer, north integer) RETURNS fleet.geohash
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.geohash_neighbour(fleet.geohash, integer, integer) IS 'The cell so many columns east and rows north; null beyond a pole';
CREATE FUNCTION fleet.geohash_neighbours(fleet.geohash) RETURNS fleet.geohash[]
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.geohash_neighbours(fleet.geohash) IS 'The cells around, clockwise from north: eight, or five at a pole';
CREATE FUNCTION fleet.geohash_last(fleet.geohash) RETURNS fleet.geohash
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.geohash_last(fleet.geohash) IS 'The last cell inside in btree order: the cells inside c are those between c and geohash_last(c)';

CREATE FUNCTION fleet.geometry(fleet.geohash) RETURNS geometry
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
BEGIN ATOMIC
    SELECT ST_MakeEnvelope(fleet.geohash_west($1), fleet.geohash_south($1), fleet.geohash_east($1), fleet.geohash_north($1), 4326);
END;
COMMENT ON FUNCTION fleet.geometry(fleet.geohash) IS 'PostGIS geometry(Polygon,4326) of the cell';
CREATE CAST (fleet.geohash AS geometry) WITH FUNCTION fleet.geometry(fleet.geohash) AS ASSIGNMENT;
COMMENT ON CAST (fleet.geohash AS geometry) IS 'Polygon in SRID 4326';

-- containment; with a constant cell it becomes a range of a btree index

CREATE FUNCTION fleet.geohash_contains_support(internal) RETURNS internal
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.geohash_contains_support(internal) IS 'Planner support of geohash_contains';
CREATE FUNCTION fleet.geohash_contained_support(internal) RETURNS internal
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.geohash_contained_support(internal) IS 'Planner support of geohash_contained';
CREATE FUNCTION fleet.geohash_contains(fleet.geohash, fleet.geohash) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE SUPPORT fleet.geohash_contains_support AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.geohash_contains(fleet.geohash, fleet.geohash) IS 'Does the left cell contain the right one, or equal it?';
CREATE FUNCTION fleet.geohash_contained(fleet.geohash, fleet.geohash) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE SUPPORT fleet.geohash_contained_support AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.geohash_contained(fleet.geohash, fleet.geohash) IS 'Is the left cell inside the right one, or equal to it?';
CREATE FUNCTION fleet.geohash_contains(fleet.geohash, fleet.geopoint) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'geohash_contains_point';
COMMENT ON FUNCTION fleet.geohash_contains(fleet.geohash, fleet.geopoint) IS 'Is the position in the cell?';
CREATE FUNCTION fleet.geohash_contained(fleet.geopoint, fleet.geohash) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'geohash_point_contained';
COMMENT ON FUNCTION fleet.geohash_contained(fleet.geopoint, fleet.geohash) IS 'Is the position in the cell?';

CREATE OPERATOR fleet.@> (
    LEFTARG = fleet.geohash, RIGHTARG = fleet.geohash, FUNCTION = fleet.geohash_contains,
    COMMUTATOR = OPERATOR(fleet.<@), RESTRICT = pg_catalog.contsel, JOIN = pg_catalog.contjoinsel
);
COMMENT ON OPERATOR fleet.@> (fleet.geohash, fleet.geohash) IS 'Contains';
CREATE OPERATOR fleet.<@ (
    LEFTARG = fleet.geohash, RIGHTARG = fleet.geohash, FUNCTION = fleet.geohash_contained,
    COMMUTATOR = OPERATOR(fleet.@>), RESTRICT = pg_catalog.contsel, JOIN = pg_catalog.contjoinsel
);
COMMENT ON OPERATOR fleet.<@ (fleet.geohash, fleet.geohash) IS 'Is in';

CREATE OPERATOR fleet.@> (
    LEFTARG = fleet.geohash, RIGHTARG = fleet.geopoint, FUNCTION = fleet.geohash_contains,
    COMMUTATOR = OPERATOR(fleet.<@), RESTRICT = pg_catalog.contsel, JOIN = pg_catalog.contjoinsel
);
COMMENT ON OPERATOR fleet.@> (fleet.geohash, fleet.geopoint) IS 'Contains';
CREATE OPERATOR fleet.<@ (
    LEFTARG = fleet.geopoint, RIGHTARG = fleet.geohash, FUNCTION = fleet.geohash_contained,
    COMMUTATOR = OPERATOR(fleet.@>), RESTRICT = pg_catalog.contsel, JOIN = pg_catalog.contjoinsel
);
COMMENT ON OPERATOR fleet.<@ (fleet.geopoint, fleet.geohash) IS 'Is in';

-- comparison, a cell right before the cells inside it

CREATE FUNCTION fleet.geohash_eq(fleet.geohash, fleet.geohash) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.geohash_eq(fleet.geohash, fleet.geohash) IS 'Implementation of the operator =';
CREATE FUNCTION fleet.geohash_ne(fleet.geohash, fleet.geohash) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.geohash_ne(fleet.geohash, fleet.geohash) IS 'Implementation of the operator <>';
CREATE FUNCTION fleet.geohash_lt(fleet.geohash, fleet.geohash) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.geohash_lt(fleet.geohash, fleet.geohash) IS 'Implementation of the operator <';
CREATE FUNCTION fleet.geohash_le(fleet.geohash, fleet.geohash) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.geohash_le(fleet.geohash, fleet.geohash) IS 'Implementation of the operator <=';
CREATE FUNCTION fleet.geohash_gt(fleet.geohash, fleet.geohash) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.geohash_gt(fleet.geohash, fleet.geohash) IS 'Implementation of the operator >';
CREATE FUNCTION fleet.geohash_ge(fleet.geohash, fleet.geohash) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.geohash_ge(fleet.geohash, fleet.geohash) IS 'Implementation of the operator >=';
CREATE FUNCTION fleet.geohash_cmp(fleet.geohash, fleet.geohash) RETURNS integer
    LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.geohash_cmp(fleet.geohash, fleet.geohash) IS 'btree support: less, equal, greater';
CREATE FUNCTION fleet.geohash_hash(fleet.geohash) RETURNS integer
    LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.geohash_hash(fleet.geohash) IS 'hash support';
CREATE FUNCTION fleet.geohash_hash_extended(fleet.geohash, bigint) RETURNS bigint
    LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION fleet.geohash_hash_extended(fleet.geohash, bigint) IS 'hash support with a seed';

CREATE OPERATOR fleet.= (
    LEFTARG = fleet.geohash, RIGHTARG = fleet.geohash, FUNCTION = fleet.geohash_eq,
    COMMUTATOR = OPERATOR(fleet.=), NEGATOR = OPERATOR(fleet.<>),
    RESTRICT = pg_catalog.eqsel, JOIN = pg_catalog.eqjoinsel, HASHES, MERGES
);
COMMENT ON OPERATOR fleet.= (fleet.geohash, fleet.geohash) IS 'Equal';

CREATE OPERATOR fleet.<> (
    LEFTARG = fleet.geohash, RIGHTARG = fleet.geohash, FUNCTION = fleet.geohash_ne,
    COMMUTATOR = OPERATOR(fleet.<>), NEGATOR = OPERATOR(fleet.=),
    RESTRICT = pg_catalog.neqsel, JOIN = pg_catalog.neqjoinsel
);
COMMENT ON OPERATOR fleet.<> (fleet.geohash, fleet.geohash) IS 'Not equal';

CREATE OPERATOR fleet.< (
    LEFTARG = fleet.geohash, RIGHTARG = fleet.geohash, FUNCTION = fleet.geohash_lt,
    COMMUTATOR = OPERATOR(fleet.>), NEGATOR = OPERATOR(fleet.>=),
    RESTRICT = pg_catalog.scalarltsel, JOIN = pg_catalog.scalarltjoinsel
);
COMMENT ON OPERATOR fleet.< (fleet.geohash, fleet.geohash) IS 'Less, a cell right before the cells inside it';

CREATE OPERATOR fleet.<= (
    LEFTARG = fleet.geohash, RIGHTARG = fleet.geohash, FUNCTION = fleet.geohash_le,
    COMMUTATOR = OPERATOR(fleet.>=), NEGATOR = OPERATOR(fleet.>),
    RESTRICT = pg_catalog.scalarlesel, JOIN = pg_catalog.scalarlejoinsel
);
COMMENT ON OPERATOR fleet.<= (fleet.geohash, fleet.geohash) IS 'Less or equal, a cell right before the cells inside it';

CREATE OPERATOR fleet.> (
    LEFTARG = fleet.geohash, RIGHTARG = fleet.geohash, FUNCTION = fleet.geohash_gt,
    COMMUTATOR = OPERATOR(fleet.<), NEGATOR = OPERATOR(fleet.<=),
    RESTRICT = pg_catalog.scalargtsel, JOIN = pg_catalog.scalargtjoinsel
);
COMMENT ON OPERATOR fleet.> (fleet.geohash, fleet.geohash) IS 'Greater, a cell right before the cells inside it';

CREATE OPERATOR fleet.>= (
    LEFTARG = fleet.geohash, RIGHTARG = fleet.geohash, FUNCTION = fleet.geohash_ge,
    COMMUTATOR = OPERATOR(fleet.<=), NEGATOR = OPERATOR(fleet.<),
    RESTRICT = pg_catalog.scalargesel, JOIN = pg_catalog.scalargejoinsel
);
COMMENT ON OPERATOR fleet.>= (fleet.geohash, fleet.geohash) IS 'Greater or equal, a cell right before the cells inside it';

CREATE OPERATOR CLASS fleet.geohash_ops DEFAULT FOR TYPE fleet.geohash USING btree AS
    OPERATOR 1 fleet.<, OPERATOR 2 fleet.<=, OPERATOR 3 fleet.=, OPERATOR 4 fleet.>=, OPERATOR 5 fleet.>,
    FUNCTION 1 fleet.geohash_cmp(fleet.geohash, fleet.geohash),
    FUNCTION 4 pg_catalog.btequalimage(oid);
COMMENT ON OPERATOR FAMILY fleet.geohash_ops USING btree IS 'Order of geohash';
COMMENT ON OPERATOR CLASS fleet.geohash_ops USING btree IS 'Order of geohash';
CREATE OPERATOR CLASS fleet.geohash_ops DEFAULT FOR TYPE fleet.geohash USING hash AS
    OPERATOR 1 fleet.=,
    FUNCTION 1 fleet.geohash_hash(fleet.geohash),
    FUNCTION 2 fleet.geohash_hash_extended(fleet.geohash, bigint);
COMMENT ON OPERATOR FAMILY fleet.geohash_ops USING hash IS 'Equality of geohash';
COMMENT ON OPERATOR CLASS fleet.geohash_ops USING hash IS 'Equality of geohash';
